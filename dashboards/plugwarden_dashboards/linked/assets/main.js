// Draws tables, lines, tiles and cards whose links are anchors. What telemetry named is text here and never markup:
// every string reaches the page by `textContent` or by an attribute of ours.
import { drawTable } from "./table.js"
import { cell, element, fill, link, trend } from "./parts.js"

const KINDS = { table: drawTable, line: drawLine, tiles: drawTiles, cards: drawCards, notice: drawNotice, ribbon: drawRibbon }

export default function ({ data, parentElement, setStateValue }) {
  let root = parentElement.querySelector(".linked")
  if (!root) {
    root = element("div", "linked")
    parentElement.appendChild(root)
  }
  KINDS[data.kind](root, data, setStateValue)
}

function drawLine(root, data) {
  root.classList.add("line")
  root.dataset.size = data.size
  root.dataset.align = data.align
  fill(root, data.cells, cell)
}

function drawTiles(root, data) {
  root.classList.add("tiles")
  fill(root, data.tiles, tile)
}

function tile(said) {
  const box = link(said.href, "tile")
  if (said.tone) box.dataset.tone = said.tone
  box.append(element("span", "label", said.label), element("span", "value", said.value))
  if (said.note) box.append(element("span", "note", said.note))
  if (said.trend?.length > 1) box.append(trend(said.trend, 160, 28))
  return box
}

function drawCards(root, data) {
  root.classList.add("cards")
  fill(root, data.cards, card)
}

function card(said) {
  const box = element("section", "card")
  box.dataset.tone = said.tone
  const head = element("div", "line")
  head.append(...said.head.map(cell))
  box.append(head, ...said.lines.map((text) => element("p", "", text)))
  if (said.links.length) {
    const links = element("div", "line links")
    links.append(...said.links.map(cell))
    box.append(links)
  }
  return box
}

function drawNotice(root, data) {
  fill(root, [data], (said) => {
    const box = element("div", "notice")
    box.dataset.tone = said.tone
    box.setAttribute("role", said.tone === "bad" ? "alert" : "status")
    if (said.title) box.append(element("strong", "", said.title))
    box.append(element("span", "", said.text))
    if (said.links.length) {
      const links = element("span", "line links")
      links.append(...said.links.map(cell))
      box.append(links)
    }
    return box
  })
}

function drawRibbon(root, data) {
  root.classList.add("ribbon")
  fill(root, data.events, (said) => {
    const mark = link(said.href, "mark")
    mark.style.left = `${100 * said.at}%`
    mark.dataset.tone = said.tone
    mark.title = said.text
    mark.setAttribute("aria-label", said.text)
    return mark
  })
  root.dataset.from = data.begins
  root.dataset.to = data.ends
}
