// What all kinds are made of: elements, links that stay in this session, cells, and lists that keep what did not change.
const DRAWN = new WeakMap()

export function element(name, classes = "", text = "") {
  const made = document.createElement(name)
  if (classes) made.className = classes
  if (text) made.textContent = text
  return made
}

// A link, or a plain element where there is nowhere to go. Addresses lead to pages of ours and nowhere else.
export function link(href, classes = "") {
  if (!href || new URL(href, location.origin).origin !== location.origin) return element("span", classes)
  const made = element("a", classes)
  made.setAttribute("href", kept(href))
  if (new URL(href, location.origin).pathname !== "/sign-in") made.onclick = follow
  return made
}

// What is chosen above every page stays when going to another one; this page's own address has it.
const KEPT = ["range", "refresh"]
const chosen = () => {
  const here = new URLSearchParams(location.search)
  return KEPT.filter((name) => here.has(name)).map((name) => `${name}=${encodeURIComponent(here.get(name))}`)
}

function kept(href) {
  const parts = chosen()
  return parts.length ? href + (href.includes("?") ? "&" : "?") + parts.join("&") : href
}

// A new document would begin anew, which takes seconds. Streamlit itself goes wherever history goes; the sign-in is no page of its.
function follow(event) {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  history.pushState({}, "", event.currentTarget.getAttribute("href"))
  dispatchEvent(new PopStateEvent("popstate", { state: {} }))
}

export const textOf = (said) => (typeof said === "string" ? said : said.parts ? said.parts.map(textOf).join(" ") : said.text)

export function cell(said) {
  if (typeof said === "string") return element("span", "", said)
  if (said.parts) {
    const box = element("span", "parts")
    box.append(...said.parts.map(cell))
    return box
  }
  const box = link(said.href, said.tone ? "badge" : "")
  if (said.tone) box.dataset.tone = said.tone
  if (said.note) box.title = said.note
  if (said.strong) box.classList.add("strong")
  if (said.mono) box.classList.add("mono")
  if (said.trend) {
    if (said.trend.length > 1) box.append(trend(said.trend, 96, 20))
    return box
  }
  if (said.share !== undefined) box.append(bar(said.share))
  box.append(said.text)
  return box
}

function bar(share) {
  const box = element("span", "bar")
  const full = element("span")
  full.style.width = `${100 * Math.min(1, Math.max(0, share))}%`
  box.append(full)
  box.setAttribute("aria-hidden", "true")
  return box
}

export function trend(values, width, height) {
  const most = Math.max(...values, Number.MIN_VALUE)
  const at = (value, index) =>
    `${((index / (values.length - 1)) * width).toFixed(1)},${(height - 1 - (value / most) * (height - 2)).toFixed(1)}`
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`)
  picture.setAttribute("class", "trend")
  picture.setAttribute("preserveAspectRatio", "none")
  picture.setAttribute("aria-hidden", "true")
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline")
  line.setAttribute("points", values.map(at).join(" "))
  picture.append(line)
  return picture
}

// Fill a box with one element an item. What says the same as before stays the element it was, so that focus, selection and
// the pointer are not lost at a refresh; where the focused one changed, its successor has the focus.
export function fill(box, items, draw) {
  const root = box.getRootNode()
  const ways = chosen().join() // links differ with it
  items.forEach((item, index) => {
    const said = JSON.stringify(item) + ways
    const old = box.children[index]
    if (old && DRAWN.get(old) === said) return
    const made = draw(item)
    DRAWN.set(made, said)
    if (!old) {
      box.append(made)
      return
    }
    const focused = old.contains(root.activeElement) ? focusable(old).indexOf(root.activeElement) : -1
    old.replaceWith(made)
    focusable(made)[focused]?.focus({ preventScroll: true })
  })
  while (box.children.length > items.length) box.lastElementChild.remove()
}

const FOCUSABLE = "a, button, select"
const focusable = (box) => (box.matches(FOCUSABLE) ? [box] : [...box.querySelectorAll(FOCUSABLE)])
