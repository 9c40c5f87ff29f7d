/* OTLP trace requests to columns, in one pass over the bytes.
 *
 * Takes what nearly every request is like and nothing else: on anything odd (a bad length, text that is not UTF-8, ids of
 * another size, a field given twice, more attributes or deeper values than LIMITs) it answers 0, stores nothing, and the
 * caller takes the general way (decode.py), which says exactly what is wrong with which span. So nothing here has to repair
 * or to explain, and a differential test holds the two ways to the same columns (tests/collector/test_native.py).
 *
 * No CPython in here: it is called through ctypes, which lets go of the interpreter's lock for the length of the call.
 * Field numbers are those of opentelemetry-proto (collector/trace/v1, trace/v1, common/v1).
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_ATTRIBUTES 64 /* of one list; repeated keys are looked for by comparing all pairs */
#define LIMIT_KEYS 32       /* that become columns */
#define LIMIT_DEPTH 16      /* of nested values; as attributes.MAX_DEPTH */

typedef struct { const uint8_t *at, *end; } Bytes;

/* -- growing buffers. Once memory is short, `failed` is set and everything after it is idle. ------------------------------ */

typedef struct { uint8_t *data; int64_t size, room; } Buffer;

typedef struct { /* Arrow's string layout: offsets, bytes, validity bits */
    Buffer offsets, data, valid;
    int64_t rows, nulls;
} Strings;

typedef struct { uint32_t number, wire; uint64_t value; Bytes bytes; } Field;

typedef struct {
    const uint8_t *keys[LIMIT_KEYS];
    int32_t lengths[LIMIT_KEYS];
    uint8_t taken[LIMIT_KEYS]; /* left out of the other attributes */
    int32_t count;
} Keys;

typedef struct { /* read by Python through the accessors at the end */
    int64_t spans, scopes, groups, events, links;
    int32_t failed;
    Keys keys;
    Buffer trace_hi, trace_lo, span_id, parent, parent_valid, kind, status_code, start, end, dropped, scope_of_span;
    Strings name, status_message, trace_state, attributes, hot[LIMIT_KEYS];
    Buffer group_of_scope, resource_at, resource_size; /* of each group, within the body */
    Strings scope_name, scope_version;
    Buffer event_offsets, event_time, link_offsets;
    Strings event_name, event_attributes, link_trace, link_span, link_attributes;
    int64_t orphans;
} Decoded;

static uint8_t *reserve(Decoded *out, Buffer *buffer, int64_t more) {
    if (buffer->size + more > buffer->room) {
        int64_t room = buffer->room ? buffer->room * 2 : 4096;
        while (room < buffer->size + more) room *= 2;
        uint8_t *data = realloc(buffer->data, (size_t)room);
        if (!data) { out->failed = 1; return NULL; }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

static void put(Decoded *out, Buffer *buffer, const void *from, int64_t size) {
    if (!size) return; /* `from` may be null: a key that was not given */
    uint8_t *to = reserve(out, buffer, size);
    if (to) { memcpy(to, from, (size_t)size); buffer->size += size; }
}

static void put_char(Decoded *out, Buffer *buffer, char c) { put(out, buffer, &c, 1); }
static void put_u64(Decoded *out, Buffer *buffer, uint64_t value) { put(out, buffer, &value, 8); }
static void put_i32(Decoded *out, Buffer *buffer, int32_t value) { put(out, buffer, &value, 4); }

static void put_bit(Decoded *out, Buffer *bits, int64_t row, int set) {
    if ((row & 7) == 0) { put_char(out, bits, 0); }
    if (set && !out->failed) bits->data[row >> 3] |= (uint8_t)(1 << (row & 7));
}

/* Ends a row whose bytes were put into column->data. */
static void end_row(Decoded *out, Strings *column, int valid) {
    if (column->rows == 0) put_i32(out, &column->offsets, 0);
    put_i32(out, &column->offsets, (int32_t)column->data.size);
    put_bit(out, &column->valid, column->rows, valid);
    column->rows++;
    column->nulls += !valid;
    if (column->data.size > INT32_MAX / 2) out->failed = 1;
}

static void put_row(Decoded *out, Strings *column, Bytes text) {
    put(out, &column->data, text.at, text.end - text.at);
    end_row(out, column, 1);
}

/* -- the wire ------------------------------------------------------------------------------------------------------------- */

static int varint(Bytes *in, uint64_t *value) {
    uint64_t found = 0;
    for (int shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) return 0;
        found |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) { *value = found; return 1; }
    }
    return 0;
}

static uint64_t fixed(const uint8_t *at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static int next(Bytes *in, Field *field) {
    uint64_t tag, size;
    if (!varint(in, &tag) || tag >> 3 == 0 || tag >> 32) return 0;
    field->number = (uint32_t)(tag >> 3);
    field->wire = (uint32_t)(tag & 7);
    field->bytes.at = field->bytes.end = in->at;
    switch (field->wire) {
    case 0: return varint(in, &field->value);
    case 1:
    case 5: {
        int width = field->wire == 1 ? 8 : 4;
        if (in->end - in->at < width) return 0;
        field->value = fixed(in->at, width);
        in->at += width;
        return 1;
    }
    case 2:
        if (!varint(in, &size) || size > (uint64_t)(in->end - in->at)) return 0;
        field->bytes.at = in->at;
        in->at += size;
        field->bytes.end = in->at;
        return 1;
    default: return 0;
    }
}

static int utf8(Bytes text) {
    const uint8_t *at = text.at, *end = text.end;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), !(eight & 0x8080808080808080u))) { at += 8; continue; }
        uint8_t c = *at;
        if (c < 0x80) { at++; continue; }
        int more = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
        if (!more || end - at <= more) return 0;
        uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (at[1] < low || at[1] > high) return 0;
        for (int i = 2; i <= more; i++)
            if ((at[i] & 0xC0) != 0x80) return 0;
        at += more + 1;
    }
    return 1;
}

static int text(const Field *field, Bytes *to) {
    if (field->wire != 2 || !utf8(field->bytes)) return 0;
    *to = field->bytes;
    return 1;
}

/* -- values --------------------------------------------------------------------------------------------------------------- */

enum { UNSET, STRING = 1, BOOL = 2, INT = 3, DOUBLE = 4, ARRAY = 5, KVLIST = 6, BYTES = 7 };

typedef struct { int kind; uint64_t number; Bytes bytes; } Value;
typedef struct { Bytes key; Value value; } Pair;

static int any_value(Bytes in, Value *value) {
    static const uint8_t wires[] = {0, 2, 0, 0, 1, 2, 2, 2};
    Field field;
    memset(value, 0, sizeof *value);
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number < STRING || field.number > BYTES) continue;
        if (field.wire != wires[field.number] || value->kind) return 0; /* given twice: rare, and messages would merge */
        value->kind = (int)field.number;
        value->number = field.value;
        value->bytes = field.bytes;
        if (value->kind == STRING && !utf8(value->bytes)) return 0;
    }
    return 1;
}

static int pair(Bytes in, Pair *found) {
    Field field;
    int has_value = 0;
    memset(found, 0, sizeof *found);
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == 1) {
            if (!text(&field, &found->key)) return 0;
        } else if (field.number == 2) {
            if (field.wire != 2 || has_value++ || !any_value(field.bytes, &found->value)) return 0;
        }
    }
    return 1;
}

static int same(Bytes a, Bytes b) {
    int64_t size = a.end - a.at;
    return size == b.end - b.at && (!size || !memcmp(a.at, b.at, (size_t)size));
}

/* Whether a later pair has the same key: of a repeated key the last one counts. */
static int repeated(const Pair *pairs, int at, int count) {
    for (int later = at + 1; later < count; later++)
        if (same(pairs[at].key, pairs[later].key)) return 1;
    return 0;
}

static void put_quoted(Decoded *out, Buffer *to, Bytes from) {
    put_char(out, to, '"');
    const uint8_t *run = from.at;
    for (const uint8_t *at = from.at; at < from.end; at++) {
        uint8_t c = *at;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put(out, to, run, at - run);
        run = at + 1;
        char escape[7];
        const char *names = "\b\f\n\r\t\"\\", *letters = "bfnrt\"\\", *found = c ? strchr(names, c) : NULL;
        int size = found ? snprintf(escape, sizeof escape, "\\%c", letters[found - names])
                         : snprintf(escape, sizeof escape, "\\u%04x", c);
        put(out, to, escape, size);
    }
    put(out, to, run, from.end - run);
    put_char(out, to, '"');
}

static void put_base64(Decoded *out, Buffer *to, Bytes from) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (const uint8_t *at = from.at; at < from.end; at += 3) {
        int64_t left = from.end - at;
        uint32_t three = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        char four[4] = {letters[three >> 18], letters[three >> 12 & 63], left > 1 ? letters[three >> 6 & 63] : '=',
                        left > 2 ? letters[three & 63] : '='};
        put(out, to, four, 4);
    }
}

static void put_double(Decoded *out, Buffer *to, uint64_t bits, int json) {
    double value;
    char digits[40];
    memcpy(&value, &bits, 8);
    if (!isfinite(value)) { /* JSON has no word for these; they stay readable as text */
        const char *word = isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
        if (json) put_char(out, to, '"');
        put(out, to, word, (int64_t)strlen(word));
        if (json) put_char(out, to, '"');
        return;
    }
    int size = 0;
    for (int precision = 15; precision <= 17; precision++) { /* the shortest that reads back as the same */
        size = snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    put(out, to, digits, size);
}

static int put_json(Decoded *out, Buffer *to, const Value *value, int depth);

static int put_scalar(Decoded *out, Buffer *to, const Value *value, int json) {
    char digits[24];
    switch (value->kind) {
    case STRING:
        if (json) put_quoted(out, to, value->bytes);
        else put(out, to, value->bytes.at, value->bytes.end - value->bytes.at);
        return 1;
    case BOOL: put(out, to, value->number ? "true" : "false", value->number ? 4 : 5); return 1;
    case INT: put(out, to, digits, snprintf(digits, sizeof digits, "%lld", (long long)value->number)); return 1;
    case DOUBLE: put_double(out, to, value->number, json); return 1;
    case BYTES:
        if (json) put_char(out, to, '"');
        put_base64(out, to, value->bytes);
        if (json) put_char(out, to, '"');
        return 1;
    case UNSET: put(out, to, "null", 4); return 1;
    default: return put_json(out, to, value, 0);
    }
}

static int put_list(Decoded *out, Buffer *to, Bytes in, int depth) {
    Field field;
    Value item;
    int first = 1;
    put_char(out, to, '[');
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number != 1) continue;
        if (field.wire != 2 || !any_value(field.bytes, &item)) return 0;
        if (!first) put_char(out, to, ',');
        first = 0;
        if (!put_json(out, to, &item, depth + 1)) return 0;
    }
    put_char(out, to, ']');
    return 1;
}

static int put_object(Decoded *out, Buffer *to, Bytes in, int depth) {
    Field field;
    Pair pairs[LIMIT_ATTRIBUTES];
    int count = 0, first = 1;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number != 1) continue;
        if (field.wire != 2 || count == LIMIT_ATTRIBUTES || !pair(field.bytes, &pairs[count++])) return 0;
    }
    put_char(out, to, '{');
    for (int i = 0; i < count; i++) {
        if (repeated(pairs, i, count)) continue;
        if (!first) put_char(out, to, ',');
        first = 0;
        put_quoted(out, to, pairs[i].key);
        put_char(out, to, ':');
        if (!put_json(out, to, &pairs[i].value, depth + 1)) return 0;
    }
    put_char(out, to, '}');
    return 1;
}

static int put_json(Decoded *out, Buffer *to, const Value *value, int depth) {
    if (depth >= LIMIT_DEPTH) return 0;
    if (value->kind == ARRAY) return put_list(out, to, value->bytes, depth);
    if (value->kind == KVLIST) return put_object(out, to, value->bytes, depth);
    return put_scalar(out, to, value, 1);
}

/* A list of pairs as a JSON object; `hot`, where given, gets the values of the keys that become columns. */
static int put_pairs(Decoded *out, Strings *to, const Pair *pairs, int count, const Value **hot) {
    int first = 1;
    put_char(out, &to->data, '{');
    for (int i = 0; i < count; i++) {
        if (repeated(pairs, i, count)) continue;
        int taken = 0;
        for (int k = 0; hot && k < out->keys.count; k++) {
            Bytes key = {out->keys.keys[k], out->keys.keys[k] + out->keys.lengths[k]};
            if (!same(key, pairs[i].key)) continue;
            hot[k] = &pairs[i].value;
            taken = out->keys.taken[k];
        }
        if (taken) continue;
        if (!first) put_char(out, &to->data, ',');
        first = 0;
        put_quoted(out, &to->data, pairs[i].key);
        put_char(out, &to->data, ':');
        if (!put_scalar(out, &to->data, &pairs[i].value, 1)) return 0;
    }
    put_char(out, &to->data, '}');
    end_row(out, to, 1);
    return 1;
}

/* -- messages ------------------------------------------------------------------------------------------------------------- */

static int event(Decoded *out, Bytes in) {
    Field field;
    Pair pairs[LIMIT_ATTRIBUTES];
    Bytes name = {in.at, in.at};
    uint64_t time = 0;
    int count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case 1: if (field.wire != 1) return 0; time = field.value; break;
        case 2: if (!text(&field, &name)) return 0; break;
        case 3: if (field.wire != 2 || count == LIMIT_ATTRIBUTES || !pair(field.bytes, &pairs[count++])) return 0; break;
        }
    }
    put_u64(out, &out->event_time, time);
    put_row(out, &out->event_name, name);
    out->events++;
    return put_pairs(out, &out->event_attributes, pairs, count, NULL);
}

static void put_hex(Decoded *out, Strings *to, Bytes id) {
    static const char digits[] = "0123456789abcdef";
    for (const uint8_t *at = id.at; at < id.end; at++) {
        put_char(out, &to->data, digits[*at >> 4]);
        put_char(out, &to->data, digits[*at & 15]);
    }
    end_row(out, to, 1);
}

static int link_of(Decoded *out, Bytes in) {
    Field field;
    Pair pairs[LIMIT_ATTRIBUTES];
    Bytes trace = {in.at, in.at}, span = trace;
    int count = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case 1: if (field.wire != 2) return 0; trace = field.bytes; break;
        case 2: if (field.wire != 2) return 0; span = field.bytes; break;
        case 4: if (field.wire != 2 || count == LIMIT_ATTRIBUTES || !pair(field.bytes, &pairs[count++])) return 0; break;
        }
    }
    put_hex(out, &out->link_trace, trace);
    put_hex(out, &out->link_span, span);
    out->links++;
    return put_pairs(out, &out->link_attributes, pairs, count, NULL);
}

static int status(Bytes in, Bytes *message, uint64_t *code) {
    Field field;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == 2 && !text(&field, message)) return 0;
        if (field.number == 3) {
            if (field.wire != 0) return 0;
            *code = field.value;
        }
    }
    return 1;
}

static uint64_t big_endian(const uint8_t *at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

static int span(Decoded *out, Bytes in) {
    Field field;
    Pair pairs[LIMIT_ATTRIBUTES];
    const Value *hot[LIMIT_KEYS] = {0};
    Bytes none = {in.at, in.at}, trace = none, id = none, parent = none, state = none, name = none, message = none;
    uint64_t kind = 0, start = 0, end = 0, code = 0;
    uint32_t dropped = 0;
    int count = 0, statuses = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        switch (field.number) {
        case 1: if (field.wire != 2) return 0; trace = field.bytes; break;
        case 2: if (field.wire != 2) return 0; id = field.bytes; break;
        case 3: if (!text(&field, &state)) return 0; break;
        case 4: if (field.wire != 2) return 0; parent = field.bytes; break;
        case 5: if (!text(&field, &name)) return 0; break;
        case 6: if (field.wire != 0) return 0; kind = field.value; break;
        case 7: if (field.wire != 1) return 0; start = field.value; break;
        case 8: if (field.wire != 1) return 0; end = field.value; break;
        case 9: if (field.wire != 2 || count == LIMIT_ATTRIBUTES || !pair(field.bytes, &pairs[count++])) return 0; break;
        case 10: case 12: case 14: if (field.wire != 0) return 0; dropped += (uint32_t)field.value; break;
        case 11: if (field.wire != 2 || !event(out, field.bytes)) return 0; break;
        case 13: if (field.wire != 2 || !link_of(out, field.bytes)) return 0; break;
        case 15: if (field.wire != 2 || statuses++ || !status(field.bytes, &message, &code)) return 0; break;
        }
    }
    if (trace.end - trace.at != 16 || id.end - id.at != 8) return 0;
    int has_parent = parent.end - parent.at == 8;
    put_u64(out, &out->trace_hi, big_endian(trace.at));
    put_u64(out, &out->trace_lo, big_endian(trace.at + 8));
    put_u64(out, &out->span_id, big_endian(id.at));
    put_u64(out, &out->parent, has_parent ? big_endian(parent.at) : 0);
    put_bit(out, &out->parent_valid, out->spans, has_parent);
    out->orphans += !has_parent;
    put_char(out, &out->kind, (char)(int8_t)kind);
    put_char(out, &out->status_code, (char)(int8_t)code);
    put_u64(out, &out->start, start);
    put_u64(out, &out->end, end);
    put(out, &out->dropped, &dropped, 4);
    put_i32(out, &out->scope_of_span, (int32_t)out->scopes);
    put_row(out, &out->name, name);
    put_row(out, &out->status_message, message);
    put(out, &out->trace_state.data, state.at, state.end - state.at);
    end_row(out, &out->trace_state, state.end > state.at);
    if (!put_pairs(out, &out->attributes, pairs, count, hot)) return 0;
    for (int k = 0; k < out->keys.count; k++) {
        int present = hot[k] && hot[k]->kind != UNSET;
        if (present && !put_scalar(out, &out->hot[k].data, hot[k], 0)) return 0;
        end_row(out, &out->hot[k], present);
    }
    out->spans++;
    put_i32(out, &out->event_offsets, (int32_t)out->events);
    put_i32(out, &out->link_offsets, (int32_t)out->links);
    return !out->failed;
}

static int scope_spans(Decoded *out, Bytes in) {
    Field field, inner;
    Bytes name = {in.at, in.at}, version = name;
    int scopes = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == 1) {
            if (field.wire != 2 || scopes++) return 0;
            Bytes scope = field.bytes;
            while (scope.at < scope.end) {
                if (!next(&scope, &inner)) return 0;
                if (inner.number == 1 && !text(&inner, &name)) return 0;
                if (inner.number == 2 && !text(&inner, &version)) return 0;
            }
        } else if (field.number == 2) {
            if (field.wire != 2 || !span(out, field.bytes)) return 0;
        }
    }
    put_row(out, &out->scope_name, name);
    put_row(out, &out->scope_version, version);
    put_i32(out, &out->group_of_scope, (int32_t)out->groups);
    out->scopes++;
    return 1;
}

static int resource_spans(Decoded *out, Bytes in, const uint8_t *body) {
    Field field;
    Bytes resource = {in.at, in.at};
    int resources = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == 1) {
            if (field.wire != 2 || resources++) return 0;
            resource = field.bytes;
        } else if (field.number == 2) {
            if (field.wire != 2 || !scope_spans(out, field.bytes)) return 0;
        }
    }
    put_u64(out, &out->resource_at, (uint64_t)(resource.at - body));
    put_u64(out, &out->resource_size, (uint64_t)(resource.end - resource.at));
    out->groups++;
    return 1;
}

/* -- what Python calls ---------------------------------------------------------------------------------------------------- */

static void free_strings(Strings *column) {
    free(column->offsets.data);
    free(column->data.data);
    free(column->valid.data);
}

void plugwarden_free(Decoded *out) {
    if (!out) return;
    Buffer *buffers[] = {&out->trace_hi, &out->trace_lo, &out->span_id, &out->parent, &out->parent_valid, &out->kind,
                         &out->status_code, &out->start, &out->end, &out->dropped, &out->scope_of_span,
                         &out->group_of_scope, &out->resource_at, &out->resource_size, &out->event_offsets,
                         &out->event_time, &out->link_offsets};
    Strings *strings[] = {&out->name, &out->status_message, &out->trace_state, &out->attributes, &out->scope_name,
                          &out->scope_version, &out->event_name, &out->event_attributes, &out->link_trace,
                          &out->link_span, &out->link_attributes};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]->data);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) free_strings(strings[i]);
    for (int k = 0; k < LIMIT_KEYS; k++) free_strings(&out->hot[k]);
    free(out);
}

/* A request as columns, or NULL for the general way. `keys`: the hot keys one after the other, `lengths` of each, `taken`
 * whether it is left out of the other attributes. The answer is freed with plugwarden_free. */
Decoded *plugwarden_spans(const uint8_t *body, int64_t size, const uint8_t *keys, const int32_t *lengths,
                          const uint8_t *taken, int32_t count) {
    Decoded *out = count <= LIMIT_KEYS ? calloc(1, sizeof *out) : NULL;
    if (!out) return NULL;
    out->keys.count = count;
    for (int k = 0; k < count; k++) {
        out->keys.keys[k] = keys;
        out->keys.lengths[k] = lengths[k];
        out->keys.taken[k] = taken[k];
        keys += lengths[k];
    }
    put_i32(out, &out->event_offsets, 0);
    put_i32(out, &out->link_offsets, 0);
    Bytes in = {body, body + size};
    Field field;
    int good = 1;
    while (good && in.at < in.end) {
        good = next(&in, &field);
        if (good && field.number == 1) good = field.wire == 2 && resource_spans(out, field.bytes, body);
    }
    if (!good || out->failed || !out->spans) {
        plugwarden_free(out);
        return NULL;
    }
    return out;
}

/* Rows: 0 spans, 1 scopes, 2 groups, 3 events, 4 links; 5: spans without a parent. */
int64_t plugwarden_count(const Decoded *out, int32_t what) {
    const int64_t counts[] = {out->spans, out->scopes, out->groups, out->events, out->links, out->orphans};
    return counts[what];
}

/* A fixed-width column, in the order of native.FIXED. */
const uint8_t *plugwarden_fixed(const Decoded *out, int32_t which, int64_t *size) {
    const Buffer *buffers[] = {&out->trace_hi, &out->trace_lo, &out->span_id, &out->parent, &out->parent_valid, &out->kind,
                               &out->status_code, &out->start, &out->end, &out->dropped, &out->scope_of_span,
                               &out->group_of_scope, &out->resource_at, &out->resource_size, &out->event_offsets,
                               &out->event_time, &out->link_offsets};
    *size = buffers[which]->size;
    return buffers[which]->data;
}

/* A column of text, in the order of native.TEXTS and then the hot keys: three buffers with their sizes, and how many nulls. */
int64_t plugwarden_text(const Decoded *out, int32_t which, const uint8_t **data, int64_t *sizes) {
    const Strings *strings[] = {&out->name, &out->status_message, &out->trace_state, &out->attributes, &out->scope_name,
                                &out->scope_version, &out->event_name, &out->event_attributes, &out->link_trace,
                                &out->link_span, &out->link_attributes};
    int32_t named = (int32_t)(sizeof strings / sizeof *strings);
    const Strings *column = which < named ? strings[which] : &out->hot[which - named];
    const Buffer *buffers[] = {&column->valid, &column->offsets, &column->data};
    for (int i = 0; i < 3; i++) {
        data[i] = buffers[i]->data;
        sizes[i] = buffers[i]->size;
    }
    return column->nulls;
}
