import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { storeError } from './rocksdb-errors.ts'

const reason = (message: string, code?: string): string =>
  storeError(Object.assign(new Error(message), code === undefined ? {} : { code }), '/data').reason

describe('errors of RocksDB', () => {
  it('are told apart by code, and by the words of errno in the message', () => {
    expect(reason('IO error: lock hold by current process', 'LEVEL_LOCKED')).to.equal('STORE_LOCKED')
    expect(reason('Corruption: block checksum mismatch', 'LEVEL_CORRUPTION')).to.equal('STORE_CORRUPT')
    expect(reason('IO error: No space left on device: While appending to file', 'LEVEL_IO_ERROR')).to.equal(
      'DISK_FULL',
    )
    expect(reason('ENOSPC: no space left on device, mkdir', 'ENOSPC')).to.equal('DISK_FULL')
    expect(reason('IO error: Permission denied: While open a file', 'LEVEL_IO_ERROR')).to.equal(
      'STORE_UNWRITABLE',
    )
    expect(reason('Corruption: IO error: Permission denied: 000009.sst', 'LEVEL_CORRUPTION')).to.equal(
      'STORE_UNWRITABLE',
    )
    expect(reason('EROFS: read-only file system, mkdir', 'EROFS')).to.equal('STORE_UNWRITABLE')
    expect(reason('IO error: No such file or directory: 000009.sst', 'LEVEL_IO_ERROR')).to.equal(
      'STORE_CORRUPT',
    )
    expect(reason('IO error: Input/output error: While pread', 'LEVEL_IO_ERROR')).to.equal('STORE_CORRUPT')
  })

  it('name the directory and keep their cause, and leave a TidemarkError as it is', () => {
    const cause = new Error('Corruption: bad')
    const told = storeError(cause, '/data')
    expect(told.message).to.equal('the data directory /data is damaged: Corruption: bad')
    expect(told.cause).to.equal(cause)
    expect(told.metadata).to.deep.equal({ directory: '/data' })
    const own = new TidemarkError('NODE_DRAINING', 'the store is closed')
    expect(storeError(own, '/data')).to.equal(own)
  })
})
