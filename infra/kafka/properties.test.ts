import { expect } from 'chai'
import { brokerSettings, propertiesText } from './properties.ts'

describe('the settings of a broker for tests', () => {
  const three = [1, 2, 3].map((id) => ({ id, port: 100 + id, controllerPort: 200 + id }))
  const [first = { id: 0, port: 0, controllerPort: 0 }] = three

  it('copies Kafka’s own topics to all brokers that there are', () => {
    const alone = brokerSettings(first, [first], '/log')
    const together = brokerSettings(first, three, '/log')
    for (const name of ['offsets.topic.replication.factor', 'transaction.state.log.replication.factor']) {
      expect(alone[name], name).to.equal(1)
      expect(together[name], name).to.equal(3)
    }
    expect(together['controller.quorum.voters']).to.equal('1@127.0.0.1:201,2@127.0.0.1:202,3@127.0.0.1:203')
  })

  it('listens on loopback only, and can be changed', () => {
    const settings = brokerSettings(first, three, '/log', { 'group.min.session.timeout.ms': 1000 })
    expect(settings['listeners']).to.equal('PLAINTEXT://127.0.0.1:101,CONTROLLER://127.0.0.1:201')
    expect(settings['group.min.session.timeout.ms']).to.equal(1000)
  })

  it('is a properties file that Java reads back', () => {
    expect(propertiesText({ 'log.dirs': 'C:\\kafka', 'a.b': true })).to.equal(
      'log.dirs=C:\\\\kafka\na.b=true\n',
    )
  })
})
