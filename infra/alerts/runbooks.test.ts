/** There is a page for each alert and a place for each reason, none more, and each says what it means, where to look and what to do. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { METRIC_NAMES, metricOf, prometheusName } from '../../services/node/metrics/catalogue.ts'
import { CATALOGUE } from '../../streams/core/catalogue.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { ALL_ALERTS, pageOf } from './alerts.ts'

const FOLDER = join(PROJECT_ROOT, 'infra', 'runbooks')
const REASONS = 'reasons.md'
const pages = readdirSync(FOLDER)
const read = (page: string): string => readFileSync(join(FOLDER, page), 'utf8')

const SERIES = new Set(
  METRIC_NAMES.flatMap((name) => {
    const shown = prometheusName(name)
    return metricOf(name).type === 'distribution'
      ? [`${shown}_bucket`, `${shown}_sum`, `${shown}_count`]
      : [shown]
  }),
)

describe('the runbooks', () => {
  it('have a page for each alert, and none more', () => {
    const wanted = [REASONS, ...ALL_ALERTS.map(({ name }) => `${pageOf(name)}.md`)]
    expect(pages.sort()).to.deep.equal(wanted.sort())
  })

  for (const { name } of ALL_ALERTS)
    it(`tell of ${name} what it means, where to look, what to do`, () => {
      const [title, means = '', look = '', todo = ''] = read(`${pageOf(name)}.md`).split(/^## .*$/m)
      expect(title?.trim()).to.equal(`# ${name}`)
      expect(means.trim().length).to.be.within(60, 600)
      expect(look, 'commands').to.contain('```')
      expect(todo.match(/^- /gm)?.length).to.be.at.least(2)
    })

  it('have a place for each reason of the catalogue, and none more', () => {
    const places = [...read(REASONS).matchAll(/^## (\w+)\n\n(.+)$/gm)]
    expect(places.map(([, reason]) => reason).sort()).to.deep.equal(Object.keys(CATALOGUE).sort())
    for (const [, reason, text = ''] of places) expect(text.length, reason).to.be.at.least(30)
  })

  it('lead somewhere, and name series that there are', () => {
    for (const page of pages) {
      const text = read(page)
      for (const [, target = '', anchor = ''] of text.matchAll(/\]\(([\w.-]*\.md)?(?:#(\w+))?\)/g)) {
        if (target !== '') expect(pages, page).to.include(target)
        if (anchor !== '') expect(CATALOGUE, page).to.have.property(anchor.toUpperCase())
      }
      for (const [name] of text.matchAll(/\b(?:tidemark|nodejs)_[a-z0-9_]+/g))
        expect(SERIES.has(name), `${page}: ${name}`).to.equal(true)
    }
  })
})
