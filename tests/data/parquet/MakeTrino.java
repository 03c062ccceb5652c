// Writes trino_*.parquet into the folder that is named, with the writer of Trino 411 (the artifacts
// io.trino:trino-parquet, trino-spi and trino-memory-context of Maven, with Java 17).
import static io.trino.spi.type.TypeUtils.writeNativeValue;

import io.airlift.slice.Slices;
import io.airlift.units.DataSize;
import io.trino.parquet.writer.ParquetSchemaConverter;
import io.trino.parquet.writer.ParquetWriter;
import io.trino.parquet.writer.ParquetWriterOptions;
import io.trino.spi.PageBuilder;
import io.trino.spi.block.BlockBuilder;
import io.trino.spi.type.ArrayType;
import io.trino.spi.type.BigintType;
import io.trino.spi.type.BooleanType;
import io.trino.spi.type.DateType;
import io.trino.spi.type.DecimalType;
import io.trino.spi.type.DoubleType;
import io.trino.spi.type.Int128;
import io.trino.spi.type.IntegerType;
import io.trino.spi.type.MapType;
import io.trino.spi.type.RealType;
import io.trino.spi.type.RowType;
import io.trino.spi.type.SmallintType;
import io.trino.spi.type.TimestampType;
import io.trino.spi.type.Type;
import io.trino.spi.type.TypeOperators;
import io.trino.spi.type.VarbinaryType;
import io.trino.spi.type.VarcharType;
import java.io.FileOutputStream;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.apache.parquet.format.CompressionCodec;

public class MakeTrino {
    private static final Random RANDOM = new Random(7);

    private static Map<String, Type> columns() {
        Map<String, Type> columns = new LinkedHashMap<>();
        columns.put("id", VarcharType.VARCHAR);
        columns.put("json", VarcharType.VARCHAR);
        columns.put("country", VarcharType.createVarcharType(2));
        columns.put("created", TimestampType.TIMESTAMP_MICROS);
        columns.put("seen", TimestampType.TIMESTAMP_MILLIS);
        columns.put("day", DateType.DATE);
        columns.put("score", DoubleType.DOUBLE);
        columns.put("ratio", RealType.REAL);
        columns.put("amount", DecimalType.createDecimalType(9, 2));
        columns.put("wide", DecimalType.createDecimalType(38, 10));
        columns.put("serial", BigintType.BIGINT);
        columns.put("number", IntegerType.INTEGER);
        columns.put("level", SmallintType.SMALLINT);
        columns.put("active", BooleanType.BOOLEAN);
        columns.put("blob", VarbinaryType.VARBINARY);
        columns.put("tags", new ArrayType(VarcharType.VARCHAR));
        columns.put("matrix", new ArrayType(new ArrayType(IntegerType.INTEGER)));
        columns.put("attributes",
                new MapType(VarcharType.VARCHAR, BigintType.BIGINT, new TypeOperators()));
        columns.put("address", RowType.from(List.of(RowType.field("city", VarcharType.VARCHAR),
                RowType.field("x", DoubleType.DOUBLE))));
        return columns;
    }

    private static void put(BlockBuilder out, Type type, Object value) {
        if (value == null) {
            out.appendNull();
        } else if (type instanceof ArrayType array) {
            BlockBuilder entry = out.beginBlockEntry();
            for (Object item : (List<?>) value) {
                put(entry, array.getElementType(), item);
            }
            out.closeEntry();
        } else if (type instanceof MapType map) {
            BlockBuilder entry = out.beginBlockEntry();
            for (Map.Entry<?, ?> item : ((Map<?, ?>) value).entrySet()) {
                put(entry, map.getKeyType(), item.getKey());
                put(entry, map.getValueType(), item.getValue());
            }
            out.closeEntry();
        } else if (type instanceof RowType row) {
            BlockBuilder entry = out.beginBlockEntry();
            List<?> fields = (List<?>) value;
            for (int i = 0; i < fields.size(); i++) {
                put(entry, row.getTypeParameters().get(i), fields.get(i));
            }
            out.closeEntry();
        } else {
            Object plain = value instanceof String text ? Slices.utf8Slice(text)
                    : value instanceof byte[] bytes ? Slices.wrappedBuffer(bytes) : value;
            writeNativeValue(type, out, plain);
        }
    }

    private static <T> T maybe(T value) {
        return RANDOM.nextInt(7) == 0 ? null : value;
    }

    private static byte[] bytes(int count) {
        byte[] out = new byte[count];
        RANDOM.nextBytes(out);
        return out;
    }

    private static List<Object> user(int i) {
        String id = String.format("%016x", RANDOM.nextLong());
        double[] numbers = {1.5, -0.0, 0.0, Double.NaN, Double.POSITIVE_INFINITY, 1e-310};
        List<Object> tags = new ArrayList<>();
        List<Object> matrix = new ArrayList<>();
        Map<String, Object> attributes = new LinkedHashMap<>();
        for (int k = RANDOM.nextInt(4); k > 0; k--) {
            tags.add(maybe("tag-" + RANDOM.nextInt(9)));
            matrix.add(maybe(List.of((long) k, (long) i)));
            attributes.put("key-" + k, maybe(RANDOM.nextLong()));
        }
        List<Object> address = new ArrayList<>();
        address.add(maybe("city of " + id));
        address.add(maybe(RANDOM.nextDouble()));
        List<Object> out = new ArrayList<>();
        out.add(maybe(id));
        out.add(maybe("{\"user\": \"" + id + "\"}"));
        out.add(maybe(new String[] {"CZ", "DE", "FR"}[RANDOM.nextInt(3)]));
        out.add(maybe(1715000000123456L + RANDOM.nextInt()));
        out.add(maybe(1715000000123000L + RANDOM.nextInt() * 1000L));
        out.add(maybe((long) RANDOM.nextInt(20000)));
        out.add(maybe(numbers[RANDOM.nextInt(numbers.length)]));
        out.add(maybe((long) Float.floatToIntBits((float) numbers[RANDOM.nextInt(5)])));
        out.add(maybe((long) RANDOM.nextInt(100000000)));
        out.add(maybe(Int128.valueOf(new BigInteger(100, RANDOM))));
        out.add((long) i);
        out.add(maybe((long) RANDOM.nextInt()));
        out.add(maybe((long) RANDOM.nextInt(1000)));
        out.add(maybe(RANDOM.nextBoolean()));
        out.add(maybe(bytes(RANDOM.nextInt(20))));
        out.add(maybe(tags));
        out.add(maybe(matrix));
        out.add(maybe(attributes));
        out.add(maybe(address));
        return out;
    }

    private static void write(Path path, CompressionCodec codec, int pageBytes) throws Exception {
        Map<String, Type> columns = columns();
        List<Type> types = List.copyOf(columns.values());
        ParquetSchemaConverter schema =
                new ParquetSchemaConverter(types, List.copyOf(columns.keySet()), false, false);
        ParquetWriterOptions options = ParquetWriterOptions.builder()
                .setMaxBlockSize(DataSize.ofBytes(20000)).setMaxPageSize(DataSize.ofBytes(pageBytes))
                .setBatchSize(10).build();
        try (ParquetWriter writer = new ParquetWriter(new FileOutputStream(path.toFile()),
                schema.getMessageType(), schema.getPrimitiveTypes(), options, codec, "411", false,
                Optional.empty(), Optional.empty())) {
            for (int start = 0; start < 150; start += 50) {
                PageBuilder page = new PageBuilder(types);
                for (int i = start; i < start + 50; i++) {
                    page.declarePosition();
                    List<Object> user = user(i);
                    for (int k = 0; k < types.size(); k++) {
                        put(page.getBlockBuilder(k), types.get(k), user.get(k));
                    }
                }
                writer.write(page.build());
            }
        }
    }

    public static void main(String[] folder) throws Exception {
        write(Path.of(folder[0], "trino_users_zstd.parquet"), CompressionCodec.ZSTD, 512);
        write(Path.of(folder[0], "trino_users_snappy.parquet"), CompressionCodec.SNAPPY, 1 << 20);
        write(Path.of(folder[0], "trino_users_none.parquet"), CompressionCodec.UNCOMPRESSED, 256);
        write(Path.of(folder[0], "trino_users_gzip.parquet"), CompressionCodec.GZIP, 256);
    }
}
