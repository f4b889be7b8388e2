/**
 * Snapshots in a bucket of S3, or of a server that speaks as it does. An object up to S3_PART_BYTES is put in one request, a larger
 * one in parts; either way S3 shows it only when it is whole. The only place that imports the S3 client.
 *
 * Credentials and region are found as all AWS tools find them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION,
 * web identity, the container's or the instance's role.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3'
import { TidemarkError } from '../core/errors.ts'
import { S3_CONNECT_MS, S3_IDLE_MS, S3_PART_BYTES } from '../core/limits.ts'
import { failpoint } from '../failpoint.ts'
import { checkName, notFound, unavailable } from './snapshot-store.ts'
import type { SnapshotStore, StoredObject } from './snapshot-store.ts'

export interface S3Options {
  readonly bucket: string
  /** Before all names; empty, or without a slash at its end. */
  readonly prefix: string
  /** URL of a server that is not Amazon's; it is addressed by path. */
  readonly endpoint?: string | undefined
  /** Bytes of a part: S3 takes 5 MiB at least, but for the last one. */
  readonly partBytes?: number
  /** By default found as AWS tools do. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly region?: string
}

export interface S3Store extends SnapshotStore {
  close(): void
}

export function openS3Store(options: S3Options): S3Store {
  const { bucket, prefix, endpoint, credentials, partBytes = S3_PART_BYTES } = options
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  const client = new S3Client({
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    requestHandler: { connectionTimeout: S3_CONNECT_MS, socketTimeout: S3_IDLE_MS },
    // Servers that only speak as S3 does need not know its newer checksums; ours are inside of what is stored.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const place = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
  const keyOf = (name: string): string => (prefix === '' ? name : `${prefix}/${name}`)
  const nameOf = (key: string): string => (prefix === '' ? key : key.slice(prefix.length + 1))

  const told = (caught: unknown): never => {
    throw caught instanceof TidemarkError ? caught : unavailable(place, caught)
  }

  const putParts = async (key: string, first: Buffer, rest: AsyncGenerator<Buffer>): Promise<void> => {
    const { UploadId } = await failpoint('s3.begin', () =>
      client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key })),
    ).catch(told)
    const upload = { Bucket: bucket, Key: key, UploadId }
    const parts: { readonly ETag: string | undefined; readonly PartNumber: number }[] = []
    const send = async (Body: Buffer): Promise<void> => {
      const PartNumber = parts.length + 1
      const { ETag } = await failpoint('s3.part', () =>
        client.send(new UploadPartCommand({ ...upload, PartNumber, Body })),
      ).catch(told)
      parts.push({ ETag, PartNumber })
    }
    try {
      await send(first)
      for await (const part of rest) await send(part)
      const MultipartUpload = { Parts: parts }
      await failpoint('s3.complete', () =>
        client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload })),
      ).catch(told)
    } catch (caught) {
      // Parts that nobody completes would be kept, and paid for.
      await failpoint('s3.abort', () => client.send(new AbortMultipartUploadCommand(upload))).catch(
        () => undefined,
      )
      throw caught
    }
  }

  return {
    place,
    async put(name, content) {
      checkName(name)
      const Key = keyOf(name)
      const parts = inParts(content, partBytes)
      const first = await parts.next()
      const Body = first.done === true ? Buffer.alloc(0) : first.value
      if (Body.length < partBytes)
        await failpoint('s3.put', () =>
          client.send(new PutObjectCommand({ Bucket: bucket, Key, Body })),
        ).catch(told)
      else await putParts(Key, Body, parts)
    },

    async *get(name) {
      checkName(name)
      const { Body } = await failpoint('s3.get', () =>
        client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(name) })),
      ).catch((caught: unknown) => {
        throw caught instanceof NoSuchKey ? notFound(place, name) : unavailable(place, caught)
      })
      try {
        if (Body !== undefined) yield* Body as AsyncIterable<Uint8Array>
      } catch (caught) {
        told(caught)
      }
    },

    async list(namePrefix) {
      const found: StoredObject[] = []
      const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: keyOf(namePrefix) })
      try {
        for await (const { Contents = [] } of pages)
          for (const { Key, Size } of Contents)
            if (Key !== undefined) found.push({ name: nameOf(Key), size: Size ?? 0 })
      } catch (caught) {
        told(caught)
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    async delete(name) {
      checkName(name)
      await failpoint('s3.delete', () =>
        client.send(new DeleteObjectCommand({ Bucket: bucket, Key: keyOf(name) })),
      ).catch(told)
    },

    close() {
      client.destroy()
    },
  }
}

/** The bytes in pieces of just so many, but for the last one. */
async function* inParts(content: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = []
  let gathered = 0
  for await (const piece of content) {
    pieces.push(piece)
    gathered += piece.length
    if (gathered < bytes) continue
    const all = Buffer.concat(pieces)
    let at = 0
    for (; all.length - at >= bytes; at += bytes) yield all.subarray(at, at + bytes)
    pieces = [all.subarray(at)]
    gathered = all.length - at
  }
  if (gathered > 0) yield Buffer.concat(pieces)
}
