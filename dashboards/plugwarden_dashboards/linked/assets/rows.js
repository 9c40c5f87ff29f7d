// Which rows of a table are shown, in which order, and what of the wishes for that cannot be followed. Pure.
import { textOf } from "./parts.js"

const choicesOf = (said) => (said.parts ? said.parts.map(textOf) : [textOf(said)])

// What rows can be chosen by in a column.
export const offered = (index, rows) => [...new Set(rows.flatMap((cells) => choicesOf(cells[index])))].filter(Boolean).sort()

// Choices that some row can follow, as [{ index, name, text }], and a sentence for each of the others, which hides nothing.
export function followed(choices, columns, rows) {
  const found = []
  const problems = []
  columns.forEach(({ name }, index) => {
    const text = choices[name]
    if (!text) return
    if (offered(index, rows).includes(text)) found.push({ index, name, text })
    else problems.push(`no row has ${name} “${text}”, so it is passed over`)
  })
  return { found, problems }
}

export function matching(rows, find, choices) {
  const wanted = find.toLowerCase()
  return rows
    .map((cells, index) => ({ cells, index }))
    .filter(({ cells }) => !wanted || cells.some((said) => textOf(said).toLowerCase().includes(wanted)))
    .filter(({ cells }) => choices.every(({ index, text }) => choicesOf(cells[index]).includes(text)))
}

// Why no row is left, in a sentence.
export function nothing(many, find, choices) {
  if (!many) return "There are no rows."
  const asked = [...(find ? [`“${find}” in it`] : []), ...choices.map(({ name, text }) => `${name} “${text}”`)]
  return `No row has ${asked.join(" and ")}: ${many === 1 ? "the only one is" : `all ${many} are`} hidden by this filter.`
}

// By value where a cell has one, else by its text; null is what says nothing, and comes last in both directions.
function keyOf(said) {
  if (said.parts) return said.parts.map(keyOf).filter((key) => key !== null).join(" ") || null
  return said.value === undefined ? textOf(said) || null : said.value
}

export function order(rows, sort, columns) {
  const falling = sort.startsWith("-")
  const index = columns.findIndex((column) => column.name === (falling ? sort.slice(1) : sort))
  if (index < 0) return
  rows.sort((one, other) => {
    const [left, right] = [keyOf(one.cells[index]), keyOf(other.cells[index])]
    if (left === null || right === null) return (left === null) - (right === null)
    const way = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right), undefined, { numeric: true })
    return falling ? -way : way
  })
}
