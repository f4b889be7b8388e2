/**
 * Server reflection (v1 and v1alpha), so that grpcurl, Postman and the like need no .proto files. The descriptors are Buf's own,
 * made when the code is generated: what proto-loader makes up merges files, and loses optional fields and maps.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Server } from '@grpc/grpc-js'
import type { MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'
import { WireReader } from '../wire.ts'
import { endingStreams } from './ending-streams.ts'
import { PROTO_FOLDER } from './package-root.ts'

const DESCRIPTORS = join(PROTO_FOLDER, 'generated', 'descriptors.binpb')

export function serveReflection(server: Server, draining: AbortSignal): void {
  const fileDescriptorProtos = filesOf(readFileSync(DESCRIPTORS))
  // The service reads the files of each entry of a package, and nothing else of it.
  const files = { fileDescriptorProtos } as unknown as MessageTypeDefinition<object, object>
  const definition: PackageDefinition = { files }
  new ReflectionService(definition).addToServer(endingStreams(server, draining))
}

/** The files of a google.protobuf.FileDescriptorSet: its field 1, each as it stands. */
function filesOf(descriptors: Buffer): Buffer[] {
  const reader = new WireReader(descriptors)
  const files: Buffer[] = []
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) files.push(reader.bytes())
    else reader.skip(tag)
  }
  return files
}
