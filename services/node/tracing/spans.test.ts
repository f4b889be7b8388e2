import { expect } from 'chai'
import { SAMPLERS } from '../trace-settings.ts'
import { contextText, keptSpans } from './spans.fake.ts'
import { SpanKind, contextOf, deciderOf, textOf } from './spans.ts'

describe('trace contexts', () => {
  it('are read from W3C text and written to it', () => {
    const parent = contextOf(contextText('a'), 'vendor=1,other=2')
    expect(parent).to.deep.include({ traceId: 'a'.repeat(32), spanId: 'a'.repeat(16), traceFlags: 1 })
    expect(parent?.traceState?.get('other')).to.equal('2')
    const span = keptSpans().start({ name: 'it', kind: SpanKind.INTERNAL, attributes: {}, parent })
    expect(textOf(span)).to.match(new RegExp(`^00-${'a'.repeat(32)}-[0-9a-f]{16}-01$`))
    expect(span.spanContext().traceState?.get('vendor')).to.equal('1')
  })

  it('that are none are none', () => {
    const none = [
      undefined,
      '',
      contextText('0'),
      contextText('A'),
      contextText('a').slice(1),
      `${contextText('a')}-more`,
      contextText('a').replace('00-', 'ff-'),
    ]
    expect(none.map((text) => contextOf(text))).to.deep.equal(none.map(() => undefined))
    expect(contextOf(contextText('a'), 'x'.repeat(513))?.traceState).to.equal(undefined)
  })

  it('decide what is traced, as each sampler has it', () => {
    const sampled = contextOf(contextText('a', '01'))
    const unsampled = contextOf(contextText('a', '00'))
    const decisions = SAMPLERS.map((tracesSampler) => {
      const dice = [0.2, 0.3]
      const decide = deciderOf({ tracesSampler, tracesRatio: 0.25 }, () => dice.shift() ?? 1)
      const all = [decide(undefined), decide(undefined), decide(sampled), decide(unsampled)]
      return `${tracesSampler} ${all.map((yes) => (yes ? 'yes' : 'no')).join(' ')}`
    })
    expect(decisions).to.deep.equal([
      'parentbased_traceidratio yes no yes no',
      'parentbased_always_on yes yes yes no',
      'parentbased_always_off no no yes no',
      'always_on yes yes yes yes',
      'always_off no no no no',
    ])
  })
})
