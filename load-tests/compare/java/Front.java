import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.Iterator;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.internals.RocksDBTimestampedStore;
import tidemark.v1.KeyValueServiceGrpc;
import tidemark.v1.KeyValueServiceOuterClass.*;
import tidemark.v1.Types.Durability;
import tidemark.v1.Types.Outcome;
import tidemark.v1.Types.Row;

/**
 * What a team with Kafka Streams builds for the same need: a global table (RocksDB, restored from its topic) behind grpc-java, here with
 * the part of Tidemark's interface that such a table can serve. Arguments: brokers, topic, folder of the state, port.
 *
 * A put is answered when the table has it, as Tidemark answers; with DURABILITY_LOGGED, when all brokers acknowledged it. Reads are of
 * the table as it is, whatever promise is asked for: Kafka Streams has no other. There are no conditions, versions (always 0) or watches.
 */
public final class Front extends KeyValueServiceGrpc.KeyValueServiceImplBase {
  private static final String STORE = "rows";
  private static final int SCAN_ROWS = 500;

  /** The store that a global table has by default; it tells of each record once it is in. Restoring goes past put. A cache would sit above it. */
  private static final class TellingStore extends RocksDBTimestampedStore {
    private final Consumer<RecordMetadata> told;

    TellingStore(Consumer<RecordMetadata> told) {
      super(STORE, "rocksdb");
      this.told = told;
    }

    @Override
    public synchronized void put(Bytes key, byte[] value) {
      super.put(key, value);
      context.recordMetadata().ifPresent(told);
    }
  }

  private final String topic;
  private final KafkaProducer<byte[], byte[]> producer;
  private final KafkaStreams streams;
  private ReadOnlyKeyValueStore<Bytes, byte[]> rows;

  /** The last offset of each partition that the table has, and who waits for which. */
  private final Map<TopicPartition, Long> applied = new ConcurrentHashMap<>();
  private final Map<TopicPartition, Map<Long, Runnable>> waiting = new ConcurrentHashMap<>();

  private Front(String brokers, String topic, String folder) {
    this.topic = topic;
    producer = new KafkaProducer<>(
        Map.of("bootstrap.servers", brokers, "acks", "all", "linger.ms", 0, "batch.size", 128 << 10),
        new ByteArraySerializer(), new ByteArraySerializer());
    var config = new Properties();
    config.putAll(Map.of("application.id", "front", "bootstrap.servers", brokers, "state.dir", folder));
    var builder = new StreamsBuilder();
    builder.globalTable(topic, Consumed.with(Serdes.Bytes(), Serdes.ByteArray()),
        Materialized.<Bytes, byte[]>as(new KeyValueBytesStoreSupplier() {
          @Override public String name() { return STORE; }
          @Override public KeyValueStore<Bytes, byte[]> get() { return new TellingStore(Front.this::tell); }
          @Override public String metricsScope() { return "rocksdb"; }
        }).withCachingDisabled());
    streams = new KafkaStreams(builder.build(), config);
  }

  public static void main(String[] args) throws Exception {
    var front = new Front(args[0], args[1], args[2]);
    var running = new CountDownLatch(1);
    front.streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) running.countDown();
    });
    front.streams.start();
    running.await();
    front.rows = front.streams.store(
        StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.keyValueStore()));
    // Nothing here blocks for long: a call is served by the thread that read it.
    var server = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[3])))
        .directExecutor().flowControlWindow(4 << 20).maxInboundMessageSize(64 << 20).addService(front).build();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      server.shutdownNow();
      front.producer.close();
      front.streams.close();
    }));
    server.start().awaitTermination();
  }

  private void tell(RecordMetadata record) {
    var partition = new TopicPartition(record.topic(), record.partition());
    applied.put(partition, record.offset());
    var waiters = waiting.get(partition);
    var waiter = waiters == null ? null : waiters.remove(record.offset());
    if (waiter != null) waiter.run();
  }

  /** @param done - hears null, or why it failed */
  private void write(byte[] key, byte[] value, Durability durability, Consumer<Exception> done) {
    producer.send(new ProducerRecord<>(topic, key, value), (at, error) -> {
      if (error != null || durability == Durability.DURABILITY_LOGGED) {
        done.accept(error);
        return;
      }
      var partition = new TopicPartition(at.topic(), at.partition());
      var waiters = waiting.computeIfAbsent(partition, any -> new ConcurrentHashMap<>());
      waiters.put(at.offset(), () -> done.accept(null));
      // The table may have had it before we waited: whoever takes the waiter out runs it.
      if (applied.getOrDefault(partition, -1L) >= at.offset()) {
        var waiter = waiters.remove(at.offset());
        if (waiter != null) waiter.run();
      }
    });
  }

  @Override
  public void put(PutRequest request, StreamObserver<PutResponse> answer) {
    write(request.getKey().toByteArray(), request.getValue().toByteArray(), request.getDurability(), error -> {
      if (error == null) {
        answer.onNext(PutResponse.newBuilder().setOutcome(Outcome.newBuilder().setApplied(true)).build());
        answer.onCompleted();
      } else answer.onError(Status.UNAVAILABLE.withCause(error).asException());
    });
  }

  @Override
  public void get(GetRequest request, StreamObserver<GetResponse> answer) {
    var value = rows.get(Bytes.wrap(request.getKey().toByteArray()));
    var response = GetResponse.newBuilder();
    if (value != null) response.setRow(row(request.getKey(), value));
    answer.onNext(response.build());
    answer.onCompleted();
  }

  private static Row row(ByteString key, byte[] value) {
    return Row.newBuilder().setKey(key).setValue(ByteString.copyFrom(value)).build();
  }

  @Override
  public void scan(ScanRequest request, StreamObserver<ScanResponse> answer) {
    var found = rows.prefixScan(Bytes.wrap(request.getPrefix().toByteArray()), Serdes.Bytes().serializer());
    var call = (ServerCallStreamObserver<ScanResponse>) answer;
    var ended = new AtomicBoolean();
    call.setOnCloseHandler(found::close);
    call.setOnCancelHandler(found::close);
    call.setOnReadyHandler(() -> {
      while (!ended.get() && call.isReady()) {
        if (found.hasNext()) call.onNext(some(found));
        else if (ended.compareAndSet(false, true)) call.onCompleted();
      }
    });
  }

  private static ScanResponse some(Iterator<KeyValue<Bytes, byte[]>> found) {
    var response = ScanResponse.newBuilder();
    for (int at = 0; at < SCAN_ROWS && found.hasNext(); at++) {
      var next = found.next();
      response.addRows(row(ByteString.copyFrom(next.key.get()), next.value));
    }
    return response.build();
  }

  /** A frame is answered when all of its operations are done. */
  @Override
  public StreamObserver<PipelineRequest> pipeline(StreamObserver<PipelineResponse> answers) {
    return new StreamObserver<>() {
      @Override
      public void onNext(PipelineRequest frame) {
        var results = new PipelineResult[frame.getOperationsCount()];
        var left = new AtomicInteger(results.length);
        for (int at = 0; at < results.length; at++) {
          int place = at;
          perform(frame.getOperations(at), frame.getDurability(), result -> {
            results[place] = result;
            if (left.decrementAndGet() > 0) return;
            var response = PipelineResponse.newBuilder();
            for (var one : results) response.addResults(one);
            synchronized (answers) {
              answers.onNext(response.build());
            }
          });
        }
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        answers.onCompleted();
      }
    };
  }

  private void perform(PipelineOperation operation, Durability durability, Consumer<PipelineResult> done) {
    var result = PipelineResult.newBuilder().setId(operation.getId());
    var key = operation.getKey().toByteArray();
    switch (operation.getKind()) {
      case PIPELINE_OPERATION_KIND_GET -> {
        var value = rows.get(Bytes.wrap(key));
        if (value != null) result.setVersion(0).setValue(ByteString.copyFrom(value));
        done.accept(result.build());
      }
      case PIPELINE_OPERATION_KIND_PUT -> write(key, operation.getValue().toByteArray(), durability, error -> {
        if (error != null) result.setReason("UNAVAILABLE").setMessage(error.toString());
        done.accept(result.build());
      });
      default -> done.accept(result.setReason("UNIMPLEMENTED").build());
    }
  }
}
