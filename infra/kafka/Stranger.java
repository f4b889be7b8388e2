import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A producer that knows nothing of Tidemark: Kafka's own Java client, told by lines of JSON what to do (java-producer.ts).
 * Bytes travel as base64. One line of answer for each command, with its `n`; answers to sends come when Kafka answered.
 *
 *   {"n":1,"do":"begin","id":"a","timeoutMs":60000}           a producer with transactional id `id`; begins a transaction
 *   {"n":2,"do":"send","id":"a","topic":"t","partition":null,"key":"..","value":null,"headers":[["name","base64"]]}
 *   {"n":3,"do":"commit","id":"a"}  {"n":4,"do":"abort","id":"a"}  {"n":5,"do":"flush"}
 *
 * A send without `id` uses the plain producer of its `compression`. The end of stdin ends the process at once: a
 * transaction that is open then stays open, as with a client that crashed.
 */
public final class Stranger {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  private final String bootstrap;
  private final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();

  private Stranger(String bootstrap) {
    this.bootstrap = bootstrap;
  }

  public static void main(String[] args) throws Exception {
    Stranger stranger = new Stranger(args[0]);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      JsonNode command = JSON.readTree(line);
      try {
        stranger.perform(command);
      } catch (Exception error) {
        answer(command, JSON.createObjectNode(), error);
      }
    }
    Runtime.getRuntime().halt(0);
  }

  private void perform(JsonNode command) {
    String what = command.get("do").asText();
    String id = command.hasNonNull("id") ? command.get("id").asText() : null;
    switch (what) {
      case "begin" -> {
        String timeout = command.hasNonNull("timeoutMs") ? command.get("timeoutMs").asText() : "60000";
        KafkaProducer<byte[], byte[]> producer = producers.get("txn " + id);
        if (producer == null) {
          producer = producer("none", Map.of(
              ProducerConfig.TRANSACTIONAL_ID_CONFIG, id, ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, timeout));
          producer.initTransactions();
          producers.put("txn " + id, producer);
        }
        producer.beginTransaction();
        answer(command, JSON.createObjectNode(), null);
      }
      case "send" -> send(command, id);
      case "commit" -> {
        transactional(id).commitTransaction();
        answer(command, JSON.createObjectNode(), null);
      }
      case "abort" -> {
        transactional(id).abortTransaction();
        answer(command, JSON.createObjectNode(), null);
      }
      case "flush" -> {
        producers.values().forEach(KafkaProducer::flush);
        answer(command, JSON.createObjectNode(), null);
      }
      default -> throw new IllegalArgumentException("unknown command " + what);
    }
  }

  private void send(JsonNode command, String id) {
    String compression = command.hasNonNull("compression") ? command.get("compression").asText() : "none";
    KafkaProducer<byte[], byte[]> producer = id != null
        ? transactional(id)
        : producers.computeIfAbsent("plain " + compression, name -> producer(compression, Map.of()));
    Integer partition = command.hasNonNull("partition") ? command.get("partition").asInt() : null;
    ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
        command.get("topic").asText(), partition, bytes(command.get("key")), bytes(command.get("value")));
    if (command.hasNonNull("headers")) {
      for (JsonNode header : command.get("headers")) {
        record.headers().add(header.get(0).asText(), bytes(header.get(1)));
      }
    }
    producer.send(record, (metadata, error) -> {
      ObjectNode answer = JSON.createObjectNode();
      if (error == null) {
        answer.put("partition", metadata.partition());
        answer.put("offset", metadata.offset());
      }
      answer(command, answer, error);
    });
  }

  private KafkaProducer<byte[], byte[]> transactional(String id) {
    KafkaProducer<byte[], byte[]> producer = producers.get("txn " + id);
    if (producer == null) throw new IllegalArgumentException("no transaction was begun with the id " + id);
    return producer;
  }

  private KafkaProducer<byte[], byte[]> producer(String compression, Map<String, String> more) {
    Map<String, Object> config = new HashMap<>(more);
    config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
    config.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, compression);
    config.put(ProducerConfig.ACKS_CONFIG, "all");
    config.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, 64 << 20);
    config.put(ProducerConfig.LINGER_MS_CONFIG, 0);
    config.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 15_000);
    return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private static byte[] bytes(JsonNode node) {
    return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
  }

  private static synchronized void answer(JsonNode command, ObjectNode answer, Exception error) {
    answer.set("n", command.get("n"));
    if (error != null) answer.put("error", error.getClass().getSimpleName() + ": " + error.getMessage());
    OUT.println(answer);
    OUT.flush();
  }
}
