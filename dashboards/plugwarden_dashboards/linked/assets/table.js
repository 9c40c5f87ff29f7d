// A table: sorted by value, filtered, its links anchors, and cut where a browser would be slow.
import { cell, element, fill, link } from "./parts.js"
import { followed, matching, nothing, offered, order } from "./rows.js"

const MOST_ROWS = 200 // rows that are drawn at once; "Show all" draws the others
const FILTERED_FROM = 6 // fewer rows than this are seen at a glance
const STATES = new WeakMap()

const spelt = ({ sort, find, choices }) => JSON.stringify([sort, find, Object.entries(choices).sort()])

export function drawTable(root, data, setStateValue) {
  let state = STATES.get(root)
  if (!state) {
    state = { ...frame(root), all: false, choices: {}, told: null }
    STATES.set(root, state)
  }
  if (state.told !== spelt(data.view)) {
    // The address of the page changed, or this is the first time: what it says counts.
    state.told = spelt(data.view)
    state.sort = data.view.sort
    state.search.value = data.view.find
    state.choices = { ...data.view.choices }
  }
  state.data = data
  state.tell = () => {
    const view = { sort: state.sort, find: state.search.value, choices: state.choices }
    state.told = spelt(view)
    setStateValue("view", view)
  }
  state.search.oninput = () => draw(state)
  state.search.onchange = state.tell
  state.clear.onclick = () => {
    state.search.value = ""
    state.choices = {}
    draw(state)
    state.tell()
    const next = state.search.hidden ? state.titles.querySelector("button") : state.search
    next?.focus({ preventScroll: true }) // the button is gone with what it cleared
  }
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
  const clear = button("Clear filter")
  const more = button("Show all")
  tools.append(search, choosers, note, clear, more)
  const scrolled = element("div", "scrolled")
  const table = element("table")
  const caption = element("caption")
  const head = element("thead")
  const titles = element("tr")
  const body = element("tbody")
  const empty = element("p", "empty")
  head.append(titles)
  table.append(caption, head, body)
  scrolled.append(table, empty)
  const map = element("div", "map")
  root.append(map, tools, scrolled)
  return { map, tools, search, choosers, note, clear, more, caption, titles, body, empty }
}

function button(text) {
  const made = element("button", "", text)
  made.type = "button"
  return made
}

function draw(state) {
  const { data } = state
  const find = state.search.value.trim()
  const { found: choices, problems } = followed(state.choices, data.columns, data.rows)
  const shown = matching(data.rows, find, choices)
  order(shown, state.sort, data.columns)
  const drawn = state.all ? shown : shown.slice(0, MOST_ROWS)
  fill(state.titles, data.columns.map((column) => ({ ...column, sorted: sorted(column, state.sort) })), (column) => title(column, state))
  fill(
    state.body,
    drawn.map(({ cells, index }) => ({ cells, current: index === data.current })),
    (said) => row(said, data.columns),
  )
  const chosen = Object.fromEntries(choices.map(({ name, text }) => [name, text]))
  fill(state.choosers, data.columns.flatMap((column, index) => chooser(column, index, data.rows, chosen)), (said) => select(said, state))
  if (data.squares) fill(state.map, shown.map(({ cells }) => [cells[0], cells[1]]), square)
  state.map.hidden = !data.squares
  tell(state, { find, choices, problems, shown, drawn })
}

// Say what is shown of all rows. A filter in force is never hidden, nor is what of it cannot be followed; nor goes its box while somebody types.
function tell(state, { find, choices, problems, shown, drawn }) {
  const { data } = state
  const filtered = Boolean(find || choices.length)
  const typing = state.search.getRootNode().activeElement === state.search
  const plain = data.rows.length < FILTERED_FROM && !filtered && !problems.length && !typing
  state.search.hidden = state.choosers.hidden = plain
  state.tools.hidden = plain && !data.note
  state.clear.hidden = !filtered && !problems.length
  state.more.hidden = drawn.length === shown.length
  state.empty.hidden = !filtered || shown.length > 0
  state.empty.textContent = nothing(data.rows.length, find, choices)
  const cut = drawn.length < shown.length ? `first ${drawn.length} of ${shown.length} shown` : ""
  const left = filtered ? `${shown.length} of ${data.rows.length} rows` : ""
  state.note.textContent = [data.note, left, cut, ...problems].filter(Boolean).join(" · ")
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
  const press = button(column.name)
  if (column.note) press.title = column.note
  press.append(element("span", "arrow", { ascending: " ▴", descending: " ▾", none: "" }[column.sorted]))
  press.onclick = () => {
    state.sort = column.sorted === "ascending" ? `-${column.name}` : column.name
    draw(state)
    state.tell()
  }
  box.append(press)
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

// A select for a column of few words: where there is something to choose, or where something is chosen.
function chooser(column, index, rows, chosen) {
  if (!column.choice) return []
  const found = offered(index, rows)
  const text = chosen[column.name] ?? ""
  return found.length > 1 || text ? [{ name: column.name, found, text }] : []
}

function select(said, state) {
  const box = element("select")
  box.setAttribute("aria-label", `${said.name}: which`)
  box.append(new Option(`${said.name}: all`, ""), ...said.found.map((text) => new Option(text, text)))
  box.value = said.text
  box.onchange = () => {
    state.choices = { ...state.choices, [said.name]: box.value }
    draw(state)
    state.tell()
  }
  return box
}
