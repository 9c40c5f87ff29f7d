/* Attribute lists and their values. */
#include "values.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static int any_value(Bytes in, Value *value) {
    static const uint8_t wires[] = {0, DELIMITED, VARINT, VARINT, FIXED64, DELIMITED, DELIMITED, DELIMITED};
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

enum { PAIR_KEY = 1, PAIR_VALUE = 2 }; /* field numbers of KeyValue */
enum { LIST_ITEMS = 1 };               /* of ArrayValue and KeyValueList */

static int pair(Bytes in, Pair *found) {
    Field field;
    int has_value = 0;
    memset(found, 0, sizeof *found);
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == PAIR_KEY) {
            if (!text(&field, &found->key)) return 0;
        } else if (field.number == PAIR_VALUE) {
            if (field.wire != DELIMITED || has_value++ || !any_value(field.bytes, &found->value)) return 0;
        }
    }
    return 1;
}

int add_pair(Pairs *pairs, const Field *field) {
    if (field->wire != DELIMITED || pairs->count == LIMIT_ATTRIBUTES) return 0;
    return pair(field->bytes, &pairs->pairs[pairs->count++]);
}

/* Whether a later pair has the same key: of a repeated key the last one counts. */
static int repeated(const Pair *pairs, int at, int count) {
    for (int later = at + 1; later < count; later++)
        if (same(pairs[at].key, pairs[later].key)) return 1;
    return 0;
}

static void put_quoted(Buffer *to, Bytes from) {
    put_char(to, '"');
    const uint8_t *run = from.at;
    for (const uint8_t *at = from.at; at < from.end; at++) {
        uint8_t c = *at;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        put(to, run, at - run);
        run = at + 1;
        char escape[7];
        const char *names = "\b\f\n\r\t\"\\", *letters = "bfnrt\"\\", *found = c ? strchr(names, c) : NULL;
        int size =
            found ? snprintf(escape, sizeof escape, "\\%c", letters[found - names]) : snprintf(escape, sizeof escape, "\\u%04x", c);
        put(to, escape, size);
    }
    put(to, run, from.end - run);
    put_char(to, '"');
}

static void put_base64(Buffer *to, Bytes from) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (const uint8_t *at = from.at; at < from.end; at += 3) {
        int64_t left = from.end - at;
        uint32_t three = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        char four[4] = {letters[three >> 18], letters[three >> 12 & 63], left > 1 ? letters[three >> 6 & 63] : '=',
                        left > 2 ? letters[three & 63] : '='};
        put(to, four, 4);
    }
}

/* The shortest digits that read back as the same number: how many, with the exponent of the first. */
static int shortest(double value, char *digits, int *exponent) {
    char text[40];
    int fraction_bits;
    int power_of_two = frexp(value, &fraction_bits) == 0.5;
    for (int precision = value < DBL_MIN ? 1 : DBL_DIG; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        if (strtod(text, NULL) != value) {
            /* Below a power of two numbers stand closer together than above: there a longer way up may still be the same. */
            char *last = text + (precision > 1 ? precision : 0);
            if (!power_of_two || *last == '9' || (++*last, strtod(text, NULL) != value)) continue;
        }
        digits[0] = text[0];
        if (precision > 1) memcpy(digits + 1, text + 2, (size_t)precision - 1);
        *exponent = atoi(strchr(text, 'e') + 1);
        while (precision > 1 && digits[precision - 1] == '0') precision--;
        return precision;
    }
    return 0;
}

/* As the general way writes it: Arrow's words for a value, Python's for one that is nested. */
static void put_double(Buffer *to, uint64_t bits, int json, int nested) {
    static const char zeros[] = "00000000000000000";
    double value;
    char digits[20], tail[8];
    int exponent = 0, count, low = nested ? -4 : -6, high = nested ? 16 : 10;
    memcpy(&value, &bits, 8);
    if (!isfinite(value)) { /* JSON has no word for these; they stay readable as text */
        const char *word = isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
        if (json) put_char(to, '"');
        put(to, word, (int64_t)strlen(word));
        if (json) put_char(to, '"');
        return;
    }
    if (signbit(value)) put_char(to, '-');
    count = shortest(fabs(value), digits, &exponent);
    int whole = exponent + 1;
    if (exponent < low || exponent >= high) {
        put(to, digits, 1);
        if (count > 1) put_char(to, '.');
        put(to, digits + 1, count - 1);
        put(to, tail, snprintf(tail, sizeof tail, nested ? "e%+03d" : "e%+d", exponent));
    } else if (whole <= 0) {
        put(to, "0.", 2);
        put(to, zeros, -whole);
        put(to, digits, count);
    } else if (count <= whole) {
        put(to, digits, count);
        put(to, zeros, whole - count);
        if (nested) put(to, ".0", 2);
    } else {
        put(to, digits, whole);
        put_char(to, '.');
        put(to, digits + whole, count - whole);
    }
}

static int put_json(Buffer *to, const Value *value, int depth);

static int put_scalar(Buffer *to, const Value *value, int json, int nested) {
    char digits[24];
    switch (value->kind) {
    case STRING:
        if (json) put_quoted(to, value->bytes);
        else put(to, value->bytes.at, value->bytes.end - value->bytes.at);
        return 1;
    case BOOL: put(to, value->number ? "true" : "false", value->number ? 4 : 5); return 1;
    case INT: put(to, digits, snprintf(digits, sizeof digits, "%lld", (long long)value->number)); return 1;
    case DOUBLE: put_double(to, value->number, json, nested); return 1;
    case BYTES:
        if (json) put_char(to, '"');
        put_base64(to, value->bytes);
        if (json) put_char(to, '"');
        return 1;
    case UNSET: put(to, "null", 4); return 1;
    default: return put_json(to, value, 0);
    }
}

static int put_list(Buffer *to, Bytes in, int depth) {
    Field field;
    Value item;
    int first = 1;
    put_char(to, '[');
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number != LIST_ITEMS) continue;
        if (field.wire != DELIMITED || !any_value(field.bytes, &item)) return 0;
        if (!first) put_char(to, ',');
        first = 0;
        if (!put_json(to, &item, depth + 1)) return 0;
    }
    put_char(to, ']');
    return 1;
}

static int put_object(Buffer *to, Bytes in, int depth) {
    Field field;
    Pairs list;
    int first = 1;
    list.count = 0;
    while (in.at < in.end)
        if (!next(&in, &field) || (field.number == LIST_ITEMS && !add_pair(&list, &field))) return 0;
    put_char(to, '{');
    for (int i = 0; i < list.count; i++) {
        if (repeated(list.pairs, i, list.count)) continue;
        if (!first) put_char(to, ',');
        first = 0;
        put_quoted(to, list.pairs[i].key);
        put_char(to, ':');
        if (!put_json(to, &list.pairs[i].value, depth + 1)) return 0;
    }
    put_char(to, '}');
    return 1;
}

static int put_json(Buffer *to, const Value *value, int depth) {
    if (depth >= LIMIT_DEPTH) return 0;
    if (value->kind == ARRAY) return put_list(to, value->bytes, depth);
    if (value->kind == KVLIST) return put_object(to, value->bytes, depth);
    return put_scalar(to, value, 1, 1);
}

/* `hot`, where keys are given, gets their values. */
static int put_rest(Column *to, const Pairs *list, const Keys *keys, const Value **hot) {
    Buffer *json = &to->data;
    int first = 1;
    put_char(json, '{');
    for (int i = 0; i < list->count; i++) {
        const Pair *pair = &list->pairs[i];
        if (repeated(list->pairs, i, list->count)) continue;
        int taken = 0;
        for (int k = 0; keys && k < keys->count; k++) {
            if (!same(keys->keys[k], pair->key)) continue;
            hot[k] = &pair->value;
            taken |= keys->taken[k]; /* a key may be asked for twice */
        }
        if (taken) continue;
        if (!first) put_char(json, ',');
        first = 0;
        put_quoted(json, pair->key);
        put_char(json, ':');
        if (!put_scalar(json, &pair->value, 1, 0)) return 0;
    }
    put_char(json, '}');
    end_text(to, 1);
    return 1;
}

int put_pairs(Column *to, const Pairs *pairs) {
    return put_rest(to, pairs, NULL, NULL);
}

/* Whether all bytes are shown in ASCII, eight at a time: nearly all names are. */
static int ascii_shown(const uint8_t *at, int64_t size) {
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
    uint64_t odd = 0;
    for (; size > 0; at += 8, size -= 8) {
        uint64_t word = 0x2020202020202020u;
        memcpy(&word, at, size < 8 ? (size_t)size : 8);
        odd |= word | ((word - 0x20 * ones) & ~word) | (((word ^ (0x7F * ones)) - ones) & ~(word ^ (0x7F * ones)));
    }
    return !(odd & high);
}

/* Whether a text of valid UTF-8 can surely be a name (contract/names.py); the general way says why one cannot. */
static int nameable(const uint8_t *at, const uint8_t *end) {
    int characters = 0, shown = 0;
    if (end - at == 6 && !memcmp(at, "_OTHER", 6)) return 0;
    if (end > at && *at != ' ' && end - at <= LIMIT_NAME && ascii_shown(at, end - at)) return 1;
    for (; at < end; at++) {
        uint8_t c = *at;
        characters += (c & 0xC0) != 0x80;
        shown |= c != ' ';
        if (c < 0x20 || c == 0x7F) return 0;
        if (c < 0xC2) continue;
        if (c == 0xC2 && at[1] < 0xA0) return 0;  /* C1 controls */
        if (c == 0xD8 && at[1] == 0x9C) return 0; /* U+061C */
        if (c == 0xE2 && at[1] == 0x80 && (at[2] == 0x8E || at[2] == 0x8F || (at[2] >= 0xA8 && at[2] <= 0xAE))) return 0;
        if (c == 0xE2 && at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9) return 0; /* isolates */
    }
    return shown && characters <= LIMIT_NAME;
}

int put_attributes(Table *table, Column *to, const Pairs *pairs, const Keys *keys) {
    const Value *hot[LIMIT_KEYS] = {0};
    if (!put_rest(to, pairs, keys, hot)) return 0;
    for (int k = 0; k < keys->count; k++) {
        Column *column = hot_column(table, k);
        int present = hot[k] && hot[k]->kind != UNSET;
        int64_t before = column->data.size;
        if (present && !put_scalar(&column->data, hot[k], 0, 0)) return 0;
        if (present && keys->names[k] && !column->data.failed &&
            !nameable(column->data.data + before, column->data.data + column->data.size))
            return 0;
        end_text(column, present);
    }
    return 1;
}
