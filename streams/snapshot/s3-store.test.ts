import { expect } from 'chai'
import { withS3 } from '../../infra/s3/with-s3.ts'
import { reasonOf, streamOf } from './copies.fake.ts'
import { openS3Store } from './s3-store.ts'
import type { S3Store } from './s3-store.ts'
import { contentOf, namesOf, snapshotStoreContract } from './snapshot-store.contract.ts'

describe('snapshots in S3', function () {
  this.timeout(60_000)
  const s3 = withS3()
  const opened: S3Store[] = []
  const open = async (prefix = 'some/prefix', bucket?: string): Promise<S3Store> => {
    const { endpoint, credentials } = s3
    const store = openS3Store({
      bucket: bucket ?? (await s3.newBucket()),
      prefix,
      endpoint,
      credentials,
      partBytes: 5 * 2 ** 20,
    })
    opened.push(store)
    return store
  }
  afterEach(() => {
    for (const store of opened.splice(0)) store.close()
  })

  snapshotStoreContract(() => open())

  it('lie below their prefix, and see nothing beside it', async () => {
    const bucket = await s3.newBucket()
    const whole = await open('', bucket)
    const part = await open('a', bucket)
    await whole.put('a/1', streamOf([Buffer.from('one')]))
    await whole.put('ab/2', streamOf([Buffer.from('two')]))
    expect(await namesOf(part)).to.deep.equal(['1'])
    expect((await contentOf(part, '1')).toString()).to.equal('one')
    expect(part.place).to.equal(`s3://${bucket}/a`)
  })

  it('lists more than one page', async () => {
    const store = await open()
    const names = Array.from({ length: 1005 }, (_, at) => `many/${String(at).padStart(4, '0')}`)
    for (let at = 0; at < names.length; at += 50)
      await Promise.all(names.slice(at, at + 50).map((name) => store.put(name, streamOf([]))))
    expect(await namesOf(store, 'many/')).to.deep.equal(names)
  })

  it('says what S3 says', async () => {
    const none = await open('', 'no-such-bucket')
    expect(await reasonOf(none.list(''))).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
    expect(await reasonOf(none.put('a', streamOf([Buffer.from('x')])))).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
    const stranger = openS3Store({
      bucket: await s3.newBucket(),
      prefix: '',
      endpoint: s3.endpoint,
      credentials: { ...s3.credentials, secretAccessKey: 'wrong' },
    })
    opened.push(stranger)
    expect(await reasonOf(stranger.list(''))).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
  })
})
