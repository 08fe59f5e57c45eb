// What Apache Avro's Java library makes of the inputs of `main.rs`: one JSON object a line, in and out.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

public class Differential {
    static final ObjectMapper JSON = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    /** Keeps the pairs of a map as they were written. */
    static final GenericData DATA = new GenericData() {
        @Override
        public Object newMap(Object old, int size) {
            return new LinkedHashMap<>();
        }
    };

    public static void main(String[] args) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode said = JSON.createObjectNode();
            try {
                answer(JSON.readTree(line), said);
            } catch (Exception | StackOverflowError error) {
                said.removeAll();
                said.put("error", error.toString());
            }
            out.write(JSON.writeValueAsString(said));
            out.newLine();
        }
        out.flush();
    }

    static void answer(JsonNode asked, ObjectNode said) throws IOException {
        switch (asked.get("do").asText()) {
            case "default" -> said.put("datum", defaults(parse(asked.get("reader"))));
            case "schema" -> {
                Schema schema = parse(asked.get("schema"));
                said.put("canonical", SchemaNormalization.toParsingForm(schema));
                long crc = SchemaNormalization.parsingFingerprint64(schema);
                said.put("fingerprint", HEX.toHexDigits(crc));
            }
            case "read" -> read(new File(asked.get("file").asText()), said.putArray("datums"));
            case "write" -> write(asked);
            default -> throw new IOException("nothing to do");
        }
    }

    static Schema parse(JsonNode text) {
        return new Schema.Parser().parse(text.asText());
    }

    /** A record all of whose fields take their defaults. */
    static String defaults(Schema reader) throws IOException {
        Schema writer = Schema.createRecord(reader.getName(), null, reader.getNamespace(), false);
        writer.setFields(List.of());
        return encode(decode(writer, reader, new byte[0]), reader);
    }

    static Object decode(Schema writer, Schema reader, byte[] datum) throws IOException {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(datum, null);
        return new GenericDatumReader<Object>(writer, reader, DATA).read(null, decoder);
    }

    static String encode(Object value, Schema schema) throws IOException {
        var bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(schema).write(value, encoder);
        encoder.flush();
        return HEX.formatHex(bytes.toByteArray());
    }

    static void read(File file, ArrayNode datums) throws IOException {
        try (var reader = new DataFileReader<Object>(file, new GenericDatumReader<>(null, null, DATA))) {
            while (reader.hasNext()) {
                datums.add(encode(reader.next(), reader.getSchema()));
            }
        }
    }

    static void write(JsonNode asked) throws IOException {
        Schema schema = parse(asked.get("schema"));
        try (var writer = new DataFileWriter<Object>(new GenericDatumWriter<>(schema))) {
            writer.setCodec(CodecFactory.fromString(asked.get("codec").asText()));
            writer.setSyncInterval(64);
            writer.create(schema, new File(asked.get("file").asText()));
            for (JsonNode datum : asked.get("datums")) {
                writer.appendEncoded(ByteBuffer.wrap(HEX.parseHex(datum.asText())));
            }
        }
    }
}
