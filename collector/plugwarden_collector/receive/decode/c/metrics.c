/* Metric points of all five kinds, a row each (opentelemetry-proto metrics/v1). */
#include "decoder.h"
#include "numbers.h"

#include <stddef.h>

/* clang-format off: a column a line */
/* Of a row, in the order of native.POINT_COLUMNS. */
#define POINT_COLUMNS(X) \
    X(METRIC, "u", "metric") \
    X(UNIT, "u", "unit") \
    X(KIND, "u", "kind") \
    X(STARTED, "l", "started_at") \
    X(TIME, "l", "time") \
    X(TEMPORALITY, "c", "temporality") \
    X(VALUE, "g", "value") \
    X(COUNT, "L", "count") \
    X(SUM_OF, "g", "sum") \
    X(MIN, "g", "min") \
    X(MAX, "g", "max") \
    X(ZERO_COUNT, "L", "zero_count") \
    X(SCALE, "c", "scale") \
    X(BUCKET_INDEX, "+", "bucket_index") \
    X(BUCKET_COUNT, "+", "bucket_count") \
    X(EXPLICIT_BOUNDS, "+", "explicit_bounds") \
    X(EXEMPLAR_HI, "L", "exemplar_trace_hi") \
    X(EXEMPLAR_LO, "L", "exemplar_trace_lo") \
    X(EXEMPLAR_VALUE, "g", "exemplar_value") \
    X(SCOPE_NAME, "u", "scope_name") \
    X(SCOPE_VERSION, "u", "scope_version") \
    X(ATTRIBUTES, "u", "attributes") \
    X(RECEIVED, "l", "received_at") \
    X(ADJUSTED, "b", "clock_adjusted") \
    X(GROUP, "i", "group")
/* Inside of these. */
#define POINT_ITEMS(X) \
    X(INDEX, "i", "index") \
    X(BUCKET, "L", "count") \
    X(BOUND, "g", "bound")
/* clang-format on */

enum { POINT_COLUMNS(COLUMN_NAMED) TOP, LAST_OF_ROW = TOP - 1, POINT_ITEMS(COLUMN_NAMED) };

/* Field numbers (opentelemetry-proto, metrics/v1/metrics.proto). */
enum {
    METRIC_NAME = 1,
    METRIC_UNIT = 3,
    METRIC_GAUGE = 5,
    METRIC_SUM = 7,
    METRIC_HISTOGRAM = 9,
    METRIC_EXPONENTIAL = 10,
    METRIC_SUMMARY = 11
};
enum { DATA_POINTS = 1, DATA_TEMPORALITY = 2, DATA_MONOTONIC = 3 };
enum { POINT_START = 2, POINT_TIME = 3 }; /* of all kinds */
enum { NUMBER_DOUBLE = 4, NUMBER_EXEMPLARS = 5, NUMBER_INT = 6, NUMBER_PAIRS = 7 };
enum {
    BOUNDED_COUNT = 4,
    BOUNDED_SUM = 5,
    BOUNDED_COUNTS = 6,
    BOUNDED_BOUNDS = 7,
    BOUNDED_EXEMPLARS = 8,
    BOUNDED_PAIRS = 9,
    BOUNDED_MIN = 11,
    BOUNDED_MAX = 12,
};
enum {
    EXPONENTIAL_PAIRS = 1,
    EXPONENTIAL_COUNT = 4,
    EXPONENTIAL_SUM = 5,
    EXPONENTIAL_SCALE = 6,
    EXPONENTIAL_ZERO_COUNT = 7,
    EXPONENTIAL_POSITIVE = 8,
    EXPONENTIAL_NEGATIVE = 9,
    EXPONENTIAL_EXEMPLARS = 11,
    EXPONENTIAL_MIN = 12,
    EXPONENTIAL_MAX = 13,
};
enum { SIDE_OFFSET = 1, SIDE_COUNTS = 2 };
enum { SUMMARY_COUNT = 4, SUMMARY_SUM = 5, SUMMARY_QUANTILES = 6, SUMMARY_PAIRS = 7 };
enum { EXEMPLAR_DOUBLE = 3, EXEMPLAR_TRACE_ID = 5, EXEMPLAR_INT = 6 };

enum { GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY };

typedef struct {
    Bytes bytes, name, unit, scope_name, scope_version;
    Measured of;
    int32_t group;
} Pending; /* a point */

typedef struct { /* what a point says; doubles by their bits */
    uint64_t start, time, zero_count, exemplar_value;
    Told told;
    int has_value, has_sum, has_positive, has_negative, has_counts, has_below, has_bounds, exemplars;
    int32_t scale;
    Side positive, negative; /* the counts of a histogram with bounds are `positive` */
    Bytes bounds, trace;
    Pairs pairs;
} Point;

static Table *make(int hot) {
    Table *table = new_table(POINT_COLUMNS(COLUMN_FORMAT) POINT_ITEMS(COLUMN_FORMAT), TOP, hot);
    if (!table) return NULL;
    nest(table, BUCKET_INDEX, INDEX, 1);
    nest(table, BUCKET_COUNT, BUCKET, 1);
    nest(table, EXPLICIT_BOUNDS, BOUND, 1);
    return table;
}

/* -- the wire ------------------------------------------------------------------------------------------------------------- */

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

/* `as_double` or `as_int`, of which there may be one. */
static int number(const Field *field, int is_int, uint64_t *value, int *has) {
    if (field->wire != FIXED64 || (*has)++) return 0;
    *value = is_int ? bits_of((double)(int64_t)field->value) : field->value;
    return 1;
}

/* A repeated field of numbers in its packed form, once. */
static int packed(const Field *field, int width, Bytes *to, int *has) {
    if (field->wire != DELIMITED || (*has)++ || (width && length(field->bytes) % width)) return 0;
    *to = field->bytes;
    return 1;
}

static int word(const Field *field, uint64_t *to) {
    if (field->wire != FIXED64) return 0;
    *to = field->value;
    return 1;
}

static int optional(const Field *field, uint64_t *to, int *has) {
    *has = 1;
    return word(field, to);
}

static int signed_number(const Field *field, int32_t *to) {
    if (field->wire != VARINT || field->value >> 32) return 0;
    *to = zigzag((uint32_t)field->value);
    return 1;
}

/* One is enough for a jump from a chart to a trace: the first. */
static int exemplar(const Field *of, Point *point) {
    if (of->wire != DELIMITED) return 0;
    Bytes in = of->bytes, trace = {in.at, in.at};
    Field field;
    uint64_t value = 0;
    int has = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case EXEMPLAR_DOUBLE:
            if (!number(&field, 0, &value, &has)) return 0;
            break;
        case EXEMPLAR_TRACE_ID:
            if (field.wire != DELIMITED) return 0;
            trace = field.bytes;
            break;
        case EXEMPLAR_INT:
            if (!number(&field, 1, &value, &has)) return 0;
            break;
        }
    }
    if (!point->exemplars++) {
        point->trace = trace;
        point->exemplar_value = value;
    }
    return 1;
}

static int side(const Field *of, Side *to, int *has, int *has_counts) {
    if (of->wire != DELIMITED || (*has)++) return 0;
    Bytes in = of->bytes;
    Field field;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == SIDE_OFFSET && !signed_number(&field, &to->offset)) return 0;
        if (field.number == SIDE_COUNTS && !packed(&field, 0, &to->counts, has_counts)) return 0;
    }
    return 1;
}

static int of_number(const Field *field, Point *to) {
    switch (field->number) {
    case NUMBER_DOUBLE: return number(field, 0, &to->told.value, &to->has_value);
    case NUMBER_EXEMPLARS: return exemplar(field, to);
    case NUMBER_INT: return number(field, 1, &to->told.value, &to->has_value);
    case NUMBER_PAIRS: return add_pair(&to->pairs, field);
    default: return 1;
    }
}

static int of_histogram(const Field *field, Point *to) {
    switch (field->number) {
    case BOUNDED_COUNT: return word(field, &to->told.count);
    case BOUNDED_SUM: return optional(field, &to->told.sum, &to->has_sum);
    case BOUNDED_COUNTS: return packed(field, 8, &to->positive.counts, &to->has_counts);
    case BOUNDED_BOUNDS: return packed(field, 8, &to->bounds, &to->has_bounds);
    case BOUNDED_EXEMPLARS: return exemplar(field, to);
    case BOUNDED_PAIRS: return add_pair(&to->pairs, field);
    case BOUNDED_MIN: return optional(field, &to->told.min, &to->told.has_min);
    case BOUNDED_MAX: return optional(field, &to->told.max, &to->told.has_max);
    default: return 1;
    }
}

static int of_exponential(const Field *field, Point *to) {
    switch (field->number) {
    case EXPONENTIAL_PAIRS: return add_pair(&to->pairs, field);
    case EXPONENTIAL_COUNT: return word(field, &to->told.count);
    case EXPONENTIAL_SUM: return optional(field, &to->told.sum, &to->has_sum);
    case EXPONENTIAL_SCALE: return signed_number(field, &to->scale);
    case EXPONENTIAL_ZERO_COUNT: return word(field, &to->zero_count);
    case EXPONENTIAL_POSITIVE: return side(field, &to->positive, &to->has_positive, &to->has_counts);
    case EXPONENTIAL_NEGATIVE: return side(field, &to->negative, &to->has_negative, &to->has_below);
    case EXPONENTIAL_EXEMPLARS: return exemplar(field, to);
    case EXPONENTIAL_MIN: return optional(field, &to->told.min, &to->told.has_min);
    case EXPONENTIAL_MAX: return optional(field, &to->told.max, &to->told.has_max);
    default: return 1;
    }
}

static int of_summary(const Field *field, Point *to) {
    switch (field->number) {
    case SUMMARY_COUNT: return word(field, &to->told.count);
    case SUMMARY_SUM: return word(field, &to->told.sum);
    case SUMMARY_QUANTILES: return 0; /* quantiles: rare, and the general way's */
    case SUMMARY_PAIRS: return add_pair(&to->pairs, field);
    default: return 1;
    }
}

static const struct {
    const char *name;
    int (*field)(const Field *, Point *);
} kinds[KINDS] = {
    {"gauge", of_number},    {"sum", of_number}, {"histogram", of_histogram}, {"exponential_histogram", of_exponential},
    {"summary", of_summary},
};

/* -- rows ----------------------------------------------------------------------------------------------------------------- */

/* Dense (offset, counts[]) to sparse (index, count): going down by d steps of scale maps index i to i >> d. */
static int put_sparse(Decoder *out, const Point *point) {
    Column *indexes = column_of(out, INDEX), *counts = column_of(out, BUCKET);
    int64_t at = point->positive.offset, shift = point->scale - out->limits->scale, last = 0;
    uint64_t sum = 0, count = 0;
    int open = 0;
    if (shift < 0) shift = 0;
    if (shift > 62) shift = 62;
    for (Bytes in = point->positive.counts;; at++) {
        int more = in.at < in.end;
        if (more && !varint(&in, &count)) return 0;
        if (more && !count) continue;
        int64_t index = at >> shift; /* rounded down, as every compiler has it */
        if (open && (!more || index != last)) {
            put_32(indexes, (uint32_t)last); /* within the doubles, see side_can_be */
            put_u64(counts, sum, 1);
            sum = 0;
        }
        if (!more) break;
        open = 1;
        last = index;
        sum += count;
    }
    return 1;
}

static void put_fixed64(Column *to, Bytes from) {
    for (const uint8_t *at = from.at; at < from.end; at += 8) put_u64(to, fixed(at, 8), 1);
}

static int can_be(Decoder *out, const Point *point, int kind, const Measured *of) {
    const Told *told = &point->told;
    if (kind < HISTOGRAM) return amount_can_be(told, of);
    if (!population_can_be(told, kind == SUMMARY ? &(Measured){.measure = OF_OTHERS} : of)) return 0;
    if (kind == HISTOGRAM) return bounded_can_be(point->positive.counts, point->bounds, told->count, of, &out->buckets);
    return kind != EXPONENTIAL || exponential_can_be(&point->positive, &point->negative, point->scale, out->limits->scale,
                                                     point->zero_count, told->count, of, &out->buckets);
}

static int put_buckets(Decoder *out, const Point *point, int kind) {
    if (kind == HISTOGRAM) {
        put_fixed64(column_of(out, BUCKET), point->positive.counts);
        put_fixed64(column_of(out, BOUND), point->bounds);
    }
    if (kind == EXPONENTIAL && !put_sparse(out, point)) return 0;
    int64_t scale = point->scale < out->limits->scale ? point->scale : out->limits->scale;
    put_8(column_of(out, SCALE), kind == EXPONENTIAL ? (uint64_t)scale : 0, kind == EXPONENTIAL);
    end_list(column_of(out, BUCKET_INDEX), column_of(out, INDEX)->rows, kind == EXPONENTIAL);
    end_list(column_of(out, BUCKET_COUNT), column_of(out, BUCKET)->rows, kind == EXPONENTIAL || kind == HISTOGRAM);
    end_list(column_of(out, EXPLICIT_BOUNDS), column_of(out, BOUND)->rows, kind == HISTOGRAM);
    return 1;
}

static int put_times(Decoder *out, const Point *point) {
    int adjusted;
    int64_t time = settle(out->limits, point->time, &adjusted);
    /* A point without a start, or with one after its end, is about a moment. */
    int momentary = point->start == 0 || point->start > (uint64_t)time;
    if (time < out->limits->oldest) return 0;
    put_u64(column_of(out, STARTED), (momentary ? (uint64_t)time : point->start) / 1000, 1);
    put_u64(column_of(out, TIME), (uint64_t)time / 1000, 1);
    put_u64(column_of(out, RECEIVED), (uint64_t)(out->limits->now / 1000), 1);
    put_flag(column_of(out, ADJUSTED), adjusted);
    out->adjusted += adjusted;
    return 1;
}

static int put_point(Decoder *out, const Pending *of, int kind) {
    Bytes in = of->bytes, name = {(const uint8_t *)kinds[kind].name, (const uint8_t *)strchr(kinds[kind].name, 0)};
    Field field;
    Point point;
    memset(&point, 0, offsetof(Point, pairs));
    point.pairs.count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        int good = field.number == POINT_START  ? word(&field, &point.start)
                   : field.number == POINT_TIME ? word(&field, &point.time)
                                                : kinds[kind].field(&field, &point);
        if (!good) return 0;
    }
    int counted = kind >= HISTOGRAM,
        traced = length(point.trace) == 16 && (big_endian(point.trace.at) | big_endian(point.trace.at + 8));
    if (!can_be(out, &point, kind, &of->of) || !put_times(out, &point) || !put_buckets(out, &point, kind)) return 0;
    put_text(column_of(out, METRIC), of->name);
    put_text(column_of(out, UNIT), of->unit);
    put_text(column_of(out, KIND), name);
    put_8(column_of(out, TEMPORALITY), of->of.temporality, kind != GAUGE && kind != SUMMARY);
    put_u64(column_of(out, VALUE), point.told.value, point.has_value);
    put_u64(column_of(out, COUNT), point.told.count, counted);
    put_u64(column_of(out, SUM_OF), point.told.sum, point.has_sum || kind == SUMMARY);
    put_u64(column_of(out, MIN), point.told.min, point.told.has_min);
    put_u64(column_of(out, MAX), point.told.max, point.told.has_max);
    put_u64(column_of(out, ZERO_COUNT), point.zero_count, kind == EXPONENTIAL);
    put_u64(column_of(out, EXEMPLAR_HI), traced ? big_endian(point.trace.at) : 0, traced);
    put_u64(column_of(out, EXEMPLAR_LO), traced ? big_endian(point.trace.at + 8) : 0, traced);
    put_u64(column_of(out, EXEMPLAR_VALUE), point.exemplar_value, traced);
    put_text(column_of(out, SCOPE_NAME), of->scope_name);
    put_text(column_of(out, SCOPE_VERSION), of->scope_version);
    put_32(column_of(out, GROUP), (uint32_t)of->group);
    return put_attributes(out->rows, column_of(out, ATTRIBUTES), &point.pairs, &out->keys);
}

/* -- messages ------------------------------------------------------------------------------------------------------------- */

/* The points of a metric's data, to be put when all of the request are known; their temporality may stand after them. */
static int add_points(Decoder *out, Bytes in, int kind, Pending *of) {
    Field field;
    for (Bytes ahead = in; ahead.at < ahead.end;) {
        if (!next(&ahead, &field)) return 0;
        if (kind == GAUGE || kind == SUMMARY || field.number == DATA_POINTS) continue;
        if (field.number == DATA_TEMPORALITY) {
            if (field.wire != VARINT) return 0;
            of->of.temporality = field.value;
        } else if (field.number == DATA_MONOTONIC && kind == SUM && field.wire != VARINT) return 0;
    }
    while (in.at < in.end && next(&in, &field)) {
        if (field.number != DATA_POINTS) continue;
        if (field.wire != DELIMITED) return 0;
        of->bytes = field.bytes;
        put(&out->pending[kind], of, sizeof *of);
        if (out->pending[kind].size > LIMIT_ROWS * (int64_t)sizeof *of) return 0;
    }
    return 1;
}

static int leaf(Decoder *out, Bytes in) {
    static const int8_t kind_of[] = {
        /* one more than the kind, so that a field of none is 0 */
        [METRIC_GAUGE] = GAUGE + 1,         [METRIC_SUM] = SUM + 1,
        [METRIC_HISTOGRAM] = HISTOGRAM + 1, [METRIC_EXPONENTIAL] = EXPONENTIAL + 1,
        [METRIC_SUMMARY] = SUMMARY + 1,
    };
    Field field;
    Bytes data = {in.at, in.at};
    Pending point = {.name = data,
                     .unit = data,
                     .scope_name = out->scope_name,
                     .scope_version = out->scope_version,
                     .group = (int32_t)out->groups->columns[0].rows};
    int kind = -1;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == METRIC_NAME && !text(&field, &point.name)) return 0;
        if (field.number == METRIC_UNIT && !text(&field, &point.unit)) return 0;
        if (field.number >= sizeof kind_of || !kind_of[field.number]) continue;
        if (kind >= 0 || field.wire != DELIMITED) return 0; /* data of two kinds, or twice of one: messages would merge */
        kind = kind_of[field.number] - 1;
        data = field.bytes;
    }
    return kind < 0 || (measured(point.name, point.unit, &point.of) && add_points(out, data, kind, &point));
}

/* One kind after the other, as the general way has it. */
static int finish(Decoder *out) {
    out->buckets = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        Buffer *pending = &out->pending[kind];
        if (pending->failed) return 0;
        for (int64_t at = 0; at < pending->size; at += (int64_t)sizeof(Pending)) {
            Pending point;
            memcpy(&point, pending->data + at, sizeof point);
            if (!put_point(out, &point, kind)) return 0;
        }
        pending->size = 0;
    }
    return 1;
}

const Signal METRICS = {make, leaf, finish, POINT_COLUMNS(COLUMN_TOLD)};
