// A table: sorted by value, filtered, its links anchors, and cut where a browser would be slow.
import { cell, element, fill, link, textOf } from "./parts.js"

const MOST_ROWS = 200 // rows that are drawn at once; "Show all" draws the others
const FILTERED_FROM = 6 // fewer rows than this are seen at a glance
const STATES = new WeakMap()

export function drawTable(root, data, setStateValue) {
  let state = STATES.get(root)
  if (!state) {
    state = { ...frame(root), all: false, choices: {}, told: null }
    STATES.set(root, state)
  }
  if (state.told !== JSON.stringify(data.view)) {
    // The address of the page changed, or this is the first time: what it says counts.
    state.told = JSON.stringify(data.view)
    state.sort = data.view.sort
    state.search.value = data.view.find
  }
  state.data = data
  state.tell = () => {
    const view = { sort: state.sort, find: state.search.value }
    state.told = JSON.stringify(view)
    setStateValue("view", view)
  }
  state.search.oninput = () => draw(state)
  state.search.onchange = state.tell
  state.more.onclick = () => {
    state.all = true
    draw(state)
  }
  state.caption.textContent = data.caption
  state.search.setAttribute("aria-label", `Filter: ${data.caption}`)
  draw(state)
}

function frame(root) {
  const tools = element("div", "tools")
  const search = element("input")
  search.type = "search"
  search.placeholder = "Filter"
  const choosers = element("span", "choosers")
  const note = element("span", "note")
  note.setAttribute("role", "status")
  const more = element("button", "", "Show all")
  more.type = "button"
  tools.append(search, choosers, note, more)
  const scrolled = element("div", "scrolled")
  const table = element("table")
  const caption = element("caption")
  const head = element("thead")
  const titles = element("tr")
  const body = element("tbody")
  head.append(titles)
  table.append(caption, head, body)
  scrolled.append(table)
  const map = element("div", "map")
  root.append(map, tools, scrolled)
  return { map, tools, search, choosers, note, more, caption, titles, body }
}

function draw(state) {
  const { data } = state
  const wanted = state.search.value.trim().toLowerCase()
  const shown = data.rows
    .map((cells, index) => ({ cells, index }))
    .filter(({ cells }) => !wanted || cells.some((said) => textOf(said).toLowerCase().includes(wanted)))
    .filter(({ cells }) =>
      Object.entries(state.choices).every(([column, text]) => !text || choicesOf(cells[column]).includes(text)),
    )
  order(shown, state.sort, data.columns)
  const drawn = state.all ? shown : shown.slice(0, MOST_ROWS)
  fill(state.titles, data.columns.map((column) => ({ ...column, sorted: sorted(column, state.sort) })), (column) => title(column, state))
  fill(
    state.body,
    drawn.map(({ cells, index }) => ({ cells, current: index === data.current })),
    (said) => row(said, data.columns),
  )
  fill(state.choosers, data.columns.flatMap((column, index) => chooser(column, index, data.rows)), (said) => select(said, state))
  if (data.squares) fill(state.map, shown.map(({ cells }) => [cells[0], cells[1]]), square)
  state.map.hidden = !data.squares
  state.tools.hidden = data.rows.length < FILTERED_FROM && !data.note
  state.search.hidden = state.choosers.hidden = data.rows.length < FILTERED_FROM
  state.more.hidden = drawn.length === shown.length
  const cut = drawn.length < shown.length ? `first ${drawn.length} of ${shown.length} shown` : ""
  const matching = shown.length < data.rows.length ? `${shown.length} of ${data.rows.length} match` : ""
  state.note.textContent = [data.note, matching, cut].filter(Boolean).join(" · ")
}

// A plugin as a small square: what is too many for a table at a glance. Its first two cells are its name and its state.
function square([name, state]) {
  const box = link(name.href, "badge")
  box.dataset.tone = state.tone
  box.textContent = state.text.slice(0, 1)
  box.title = `${name.text}: ${state.text}`
  box.setAttribute("aria-label", box.title)
  box.tabIndex = -1 // the keyboard has the same link in the table
  return box
}

const sorted = (column, sort) => (sort === column.name ? "ascending" : sort === `-${column.name}` ? "descending" : "none")

function title(column, state) {
  const box = element("th")
  box.scope = "col"
  box.dataset.align = column.align
  box.dataset.narrow = column.narrow
  if (!column.sortable) {
    box.textContent = column.name
    return box
  }
  box.setAttribute("aria-sort", column.sorted)
  const button = element("button", "", column.name)
  button.type = "button"
  if (column.note) button.title = column.note
  button.append(element("span", "arrow", { ascending: " ▴", descending: " ▾", none: "" }[column.sorted]))
  button.onclick = () => {
    state.sort = column.sorted === "ascending" ? `-${column.name}` : column.name
    draw(state)
    state.tell()
  }
  box.append(button)
  return box
}

function row(said, columns) {
  const box = element("tr")
  if (said.current) box.setAttribute("aria-current", "true")
  said.cells.forEach((content, index) => {
    const column = columns[index]
    const place = element(index ? "td" : "th")
    if (!index) place.scope = "row"
    place.dataset.align = column.align
    place.dataset.narrow = column.narrow
    place.dataset.wide = column.wide
    place.append(cell(content))
    box.append(place)
  })
  return box
}

// By value where a cell has one, else by its text; what says nothing comes last in both directions.
function order(rows, sort, columns) {
  const falling = sort.startsWith("-")
  const index = columns.findIndex((column) => column.name === (falling ? sort.slice(1) : sort))
  if (index < 0) return
  const key = ({ cells }) => (cells[index].value === undefined ? textOf(cells[index]) : cells[index].value)
  rows.sort((one, other) => {
    const [left, right] = [key(one), key(other)]
    if (left === null || right === null) return (left === null) - (right === null)
    const way = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right), undefined, { numeric: true })
    return falling ? -way : way
  })
}

const choicesOf = (said) => (typeof said === "object" && said.parts ? said.parts.map(textOf) : [textOf(said)])

function chooser(column, index, rows) {
  if (!column.choice) return []
  const found = [...new Set(rows.flatMap((cells) => choicesOf(cells[index])))].filter(Boolean).sort()
  return found.length > 1 ? [{ name: column.name, index, found }] : []
}

function select(said, state) {
  const box = element("select")
  box.setAttribute("aria-label", `${said.name}: which`)
  box.append(new Option(`${said.name}: all`, ""), ...said.found.map((text) => new Option(text, text)))
  box.value = state.choices[said.index] ?? ""
  box.onchange = () => {
    state.choices[said.index] = box.value
    draw(state)
  }
  return box
}
