/* Spans, a row each (opentelemetry-proto trace/v1). */
#include "decoder.h"

/* clang-format off: a column a line */
/* Of a row, in the order of native.SPAN_COLUMNS. */
#define SPAN_COLUMNS(X) \
    X(TRACE_HI, "L", "trace_hi") \
    X(TRACE_LO, "L", "trace_lo") \
    X(SPAN_ID, "L", "span_id") \
    X(PARENT, "L", "parent_span_id") \
    X(NAME, "u", "name") \
    X(KIND, "c", "kind") \
    X(STATUS_CODE, "c", "status_code") \
    X(STATUS_MESSAGE, "u", "status_message") \
    X(TRACE_STATE, "u", "trace_state") \
    X(STARTED, "l", "started_at") \
    X(DURATION, "l", "duration_ns") \
    X(SCOPE_NAME, "u", "scope_name") \
    X(SCOPE_VERSION, "u", "scope_version") \
    X(ATTRIBUTES, "u", "attributes") \
    X(EVENTS, "+", "events") \
    X(LINKS, "+", "links") \
    X(DROPPED, "I", "dropped") \
    X(RECEIVED, "l", "received_at") \
    X(ADJUSTED, "b", "clock_adjusted") \
    X(GROUP, "i", "group")
/* Inside of these. */
#define SPAN_ITEMS(X) \
    X(EVENT, "s", "event") \
    X(EVENT_TIME, "l", "time") \
    X(EVENT_NAME, "u", "name") \
    X(EVENT_ATTRIBUTES, "u", "attributes") \
    X(LINK, "s", "link") \
    X(LINK_TRACE, "u", "trace_id") \
    X(LINK_SPAN, "u", "span_id") \
    X(LINK_ATTRIBUTES, "u", "attributes")
/* clang-format on */

enum { SPAN_COLUMNS(COLUMN_NAMED) TOP, LAST_OF_ROW = TOP - 1, SPAN_ITEMS(COLUMN_NAMED) };

/* Field numbers (opentelemetry-proto, trace/v1/trace.proto). */
enum {
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_PARENT_SPAN_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_DROPPED_ATTRIBUTES = 10,
    SPAN_EVENTS = 11,
    SPAN_DROPPED_EVENTS = 12,
    SPAN_LINKS = 13,
    SPAN_DROPPED_LINKS = 14,
    SPAN_STATUS = 15,
};
enum { EVENT_TIME_AT = 1, EVENT_NAMED = 2, EVENT_PAIRS = 3 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_PAIRS = 4 };
enum { STATUS_TEXT = 2, STATUS_NUMBER = 3 };

static Table *make(int hot) {
    Table *table = new_table(SPAN_COLUMNS(COLUMN_FORMAT) SPAN_ITEMS(COLUMN_FORMAT), TOP, hot);
    if (!table) return NULL;
    nest(table, EVENTS, EVENT, 1);
    nest(table, EVENT, EVENT_TIME, 3);
    nest(table, LINKS, LINK, 1);
    nest(table, LINK, LINK_TRACE, 3);
    return table;
}

static int event(Decoder *out, Bytes in) {
    Field field;
    Pairs pairs;
    Bytes name = {in.at, in.at};
    uint64_t time = 0;
    int adjusted;
    pairs.count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case EVENT_TIME_AT:
            if (field.wire != FIXED64) return 0;
            time = field.value;
            break;
        case EVENT_NAMED:
            if (!text(&field, &name)) return 0;
            break;
        case EVENT_PAIRS:
            if (!add_pair(&pairs, &field)) return 0;
            break;
        }
    }
    put_u64(column_of(out, EVENT_TIME), (uint64_t)(settle(out->limits, time, &adjusted) / 1000), 1);
    put_text(column_of(out, EVENT_NAME), name);
    end_cell(column_of(out, EVENT), 1);
    return put_pairs(column_of(out, EVENT_ATTRIBUTES), &pairs);
}

static void put_hex(Column *to, Bytes id) {
    static const char digits[] = "0123456789abcdef";
    for (const uint8_t *at = id.at; at < id.end; at++) {
        put_char(&to->data, digits[*at >> 4]);
        put_char(&to->data, digits[*at & 15]);
    }
    end_text(to, 1);
}

static int link_of(Decoder *out, Bytes in) {
    Field field;
    Pairs pairs;
    Bytes trace = {in.at, in.at}, span = trace;
    pairs.count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case LINK_TRACE_ID:
            if (field.wire != DELIMITED) return 0;
            trace = field.bytes;
            break;
        case LINK_SPAN_ID:
            if (field.wire != DELIMITED) return 0;
            span = field.bytes;
            break;
        case LINK_PAIRS:
            if (!add_pair(&pairs, &field)) return 0;
            break;
        }
    }
    put_hex(column_of(out, LINK_TRACE), trace);
    put_hex(column_of(out, LINK_SPAN), span);
    end_cell(column_of(out, LINK), 1);
    return put_pairs(column_of(out, LINK_ATTRIBUTES), &pairs);
}

static int status(Bytes in, Bytes *message, uint64_t *code) {
    Field field;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == STATUS_TEXT && !text(&field, message)) return 0;
        if (field.number == STATUS_NUMBER) {
            if (field.wire != VARINT) return 0;
            *code = field.value;
        }
    }
    return 1;
}

/* Start, duration and whether the clock had to be put right; 0 where the span is too old. */
static int put_times(Decoder *out, uint64_t start, uint64_t end) {
    int adjusted, unknown = start == 0;
    /* Then all that is known of it is when it was over, if that can be meant. */
    if (unknown) start = end < (uint64_t)out->limits->oldest ? 0 : end;
    int64_t started = settle(out->limits, start, &adjusted);
    /* A clock that was set back during the span must not make it negative. */
    uint64_t longest = (uint64_t)out->limits->max_duration, duration = end > start && !unknown ? end - start : 0;
    if (unknown || end < start) adjusted = 1;
    if (started < out->limits->oldest) return 0;
    if (duration > longest) {
        duration = longest;
        adjusted = 1;
    }
    put_u64(column_of(out, STARTED), (uint64_t)(started / 1000), 1);
    put_u64(column_of(out, DURATION), duration, 1);
    put_u64(column_of(out, RECEIVED), (uint64_t)(out->limits->now / 1000), 1);
    put_flag(column_of(out, ADJUSTED), adjusted);
    out->adjusted += adjusted;
    return 1;
}

static int leaf(Decoder *out, Bytes in) {
    Field field;
    Pairs pairs;
    Bytes none = {in.at, in.at}, trace = none, id = none, parent = none, state = none, name = none, message = none;
    uint64_t kind = 0, start = 0, end = 0, code = 0;
    uint32_t dropped[3] = {0};
    int statuses = 0;
    pairs.count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case SPAN_TRACE_ID:
            if (field.wire != DELIMITED) return 0;
            trace = field.bytes;
            break;
        case SPAN_SPAN_ID:
            if (field.wire != DELIMITED) return 0;
            id = field.bytes;
            break;
        case SPAN_TRACE_STATE:
            if (!text(&field, &state)) return 0;
            break;
        case SPAN_PARENT_SPAN_ID:
            if (field.wire != DELIMITED) return 0;
            parent = field.bytes;
            break;
        case SPAN_NAME:
            if (!text(&field, &name)) return 0;
            break;
        case SPAN_KIND:
            if (field.wire != VARINT) return 0;
            kind = field.value;
            break;
        case SPAN_START:
            if (field.wire != FIXED64) return 0;
            start = field.value;
            break;
        case SPAN_END:
            if (field.wire != FIXED64) return 0;
            end = field.value;
            break;
        case SPAN_ATTRIBUTES:
            if (!add_pair(&pairs, &field)) return 0;
            break;
        case SPAN_DROPPED_ATTRIBUTES:
        case SPAN_DROPPED_EVENTS:
        case SPAN_DROPPED_LINKS:
            if (field.wire != VARINT) return 0;
            dropped[(field.number - SPAN_DROPPED_ATTRIBUTES) / 2] = (uint32_t)field.value;
            break;
        case SPAN_EVENTS:
            if (field.wire != DELIMITED || !event(out, field.bytes)) return 0;
            break;
        case SPAN_LINKS:
            if (field.wire != DELIMITED || !link_of(out, field.bytes)) return 0;
            break;
        case SPAN_STATUS:
            if (field.wire != DELIMITED || statuses++ || !status(field.bytes, &message, &code)) return 0;
            break;
        }
    }
    if (length(trace) != 16 || length(id) != 8 || !put_times(out, start, end)) return 0;
    /* Ids of all zeros are invalid (trace.proto): such a span is refused by the general way, such a parent is none. */
    if (!(big_endian(trace.at) | big_endian(trace.at + 8)) || !big_endian(id.at)) return 0;
    int has_parent = length(parent) == 8 && big_endian(parent.at);
    put_u64(column_of(out, TRACE_HI), big_endian(trace.at), 1);
    put_u64(column_of(out, TRACE_LO), big_endian(trace.at + 8), 1);
    put_u64(column_of(out, SPAN_ID), big_endian(id.at), 1);
    put_u64(column_of(out, PARENT), has_parent ? big_endian(parent.at) : 0, has_parent);
    put_text(column_of(out, NAME), name);
    put_8(column_of(out, KIND), kind, 1);
    put_8(column_of(out, STATUS_CODE), code, 1);
    put_text(column_of(out, STATUS_MESSAGE), message);
    put(&column_of(out, TRACE_STATE)->data, state.at, length(state));
    end_text(column_of(out, TRACE_STATE), length(state) > 0);
    put_text(column_of(out, SCOPE_NAME), out->scope_name);
    put_text(column_of(out, SCOPE_VERSION), out->scope_version);
    put_32(column_of(out, DROPPED), dropped[0] + dropped[1] + dropped[2]);
    put_32(column_of(out, GROUP), (uint32_t)out->groups->columns[0].rows);
    put(&out->pending[0], &column_of(out, EVENT)->rows, 8);
    put(&out->pending[1], &column_of(out, LINK)->rows, 8);
    return put_attributes(out->rows, column_of(out, ATTRIBUTES), &pairs, &out->keys);
}

/* Lists of the request at hand; null throughout, which costs nothing to store, where it has none. */
static int put_lists(Buffer *ends, Column *lists, int64_t items) {
    int some = items > lists_end(lists);
    if (ends->failed) return 0;
    for (int64_t at = 0; at < ends->size; at += 8) {
        int64_t end;
        memcpy(&end, ends->data + at, 8);
        end_list(lists, end, some);
    }
    ends->size = 0;
    return 1;
}

static int finish(Decoder *out) {
    return put_lists(&out->pending[0], column_of(out, EVENTS), column_of(out, EVENT)->rows) &&
           put_lists(&out->pending[1], column_of(out, LINKS), column_of(out, LINK)->rows);
}

const Signal SPANS = {make, leaf, finish, SPAN_COLUMNS(COLUMN_TOLD)};
