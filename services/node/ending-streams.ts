/** For services of libraries: their streams end when the node drains, where they would hold it up until its bound. */
import type {
  Server,
  ServerDuplexStream,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'

type AnyStream = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>

export function endingStreams(server: Server, draining: AbortSignal): Pick<Server, 'addService'> {
  return {
    addService(definition: ServiceDefinition, handlers: UntypedServiceImplementation): void {
      const wrapped: UntypedServiceImplementation = { ...handlers }
      for (const [name, method] of Object.entries(definition)) {
        const handler = handlers[name] ?? handlers[method.originalName ?? '']
        if (!method.responseStream || handler === undefined) continue
        // grpc-js types handlers of any kind as one union; this one takes a stream, as its definition says.
        const open = handler as (call: AnyStream) => void
        wrapped[name] = (call: AnyStream): void => {
          const end = (): void => void call.end()
          draining.addEventListener('abort', end)
          call.on('close', () => draining.removeEventListener('abort', end))
          open(call)
          if (draining.aborted) end()
        }
      }
      server.addService(definition, wrapped)
    },
  }
}
