/* The protobuf wire format: fields one after the other, each read where it stands. */
#ifndef PLUGWARDEN_WIRE_H
#define PLUGWARDEN_WIRE_H

#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *at, *end;
} Bytes;

enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 }; /* wire types; groups, which nobody sends, are odd */

typedef struct {
    uint32_t number, wire;
    uint64_t value;
    Bytes bytes;
} Field;

static inline int varint(Bytes *in, uint64_t *value) {
    uint64_t found = 0;
    for (int shift = 0; shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) return 0;
        found |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = found;
            return 1;
        }
    }
    return 0;
}

static inline uint64_t fixed(const uint8_t *at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* The next field of a message; 0 when there is none to be read. */
static inline int next(Bytes *in, Field *field) {
    uint64_t tag, size;
    if (!varint(in, &tag) || tag >> 3 == 0 || tag >> 32) return 0;
    field->number = (uint32_t)(tag >> 3);
    field->wire = (uint32_t)(tag & 7);
    field->value = 0;
    field->bytes.at = field->bytes.end = in->at;
    switch (field->wire) {
    case VARINT: return varint(in, &field->value);
    case FIXED64:
    case FIXED32: {
        int width = field->wire == FIXED64 ? 8 : 4;
        if (in->end - in->at < width) return 0;
        field->value = fixed(in->at, width);
        in->at += width;
        return 1;
    }
    case DELIMITED:
        if (!varint(in, &size) || size > (uint64_t)(in->end - in->at)) return 0;
        field->bytes.at = in->at;
        in->at += size;
        field->bytes.end = in->at;
        return 1;
    default: return 0;
    }
}

static inline int utf8(Bytes text) {
    const uint8_t *at = text.at, *end = text.end;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), !(eight & 0x8080808080808080u))) {
            at += 8;
            continue;
        }
        uint8_t c = *at;
        if (c < 0x80) {
            at++;
            continue;
        }
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

static inline int text(const Field *field, Bytes *to) {
    if (field->wire != DELIMITED || !utf8(field->bytes)) return 0;
    *to = field->bytes;
    return 1;
}

static inline int64_t length(Bytes bytes) {
    return bytes.end - bytes.at;
}

static inline int same(Bytes a, Bytes b) {
    return length(a) == length(b) && (!length(a) || !memcmp(a.at, b.at, (size_t)length(a)));
}

static inline uint64_t big_endian(const uint8_t *at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

static inline int32_t zigzag(uint32_t value) {
    return (int32_t)(value >> 1 ^ (~(value & 1) + 1));
}

#endif
