/* Growing columns in Arrow's layout, handed over without a copy by the Arrow C data interface. */
#ifndef PLUGWARDEN_COLUMNS_H
#define PLUGWARDEN_COLUMNS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define LIMIT_TEXT  (1 << 26) /* bytes of one column; offsets have 32 bits, and what a request says once may stand in each row */
#define MAX_COLUMNS 64

struct ArrowArray { /* https://arrow.apache.org/docs/format/CDataInterface.html */
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* Once memory is short, `failed` is set and everything after it is idle; `hand_over` then refuses. */
typedef struct {
    uint8_t *data;
    int64_t size, room;
    int failed;
} Buffer;

typedef struct {
    char format; /* as in Arrow's format strings: c i I l L g, b for bits, u for text, + for lists, s for structs */
    Buffer valid, offsets, data;
    int64_t rows, nulls;
    int first, count; /* columns inside */
    const void *buffers[3];
    struct ArrowArray array, *inside[3];
} Column;

typedef struct {
    int top, named, hot; /* columns of a row, these and what is inside them, and then those of the hot keys */
    const void *buffers[1];
    struct ArrowArray *children[MAX_COLUMNS];
    Column columns[MAX_COLUMNS];
} Table;

/* A signal has one list of columns, X(name in C, Arrow format, name in native.py), and these make of it what is needed. */
#define COLUMN_NAMED(name, format, column)  name,
#define COLUMN_FORMAT(name, format, column) format
#define COLUMN_TOLD(name, format, column)   format " " column "\n"

/* `formats`: of the named columns, a character each. */
Table *new_table(const char *formats, int top, int hot);
void nest(Table *table, int outer, int first, int count);
void free_table(Table *table);
/* The bytes of it when everything could be kept, or -1; the table then belongs to `to`, and whoever releases that frees it. */
int64_t hand_over(Table *table, struct ArrowArray *to);

static inline Column *hot_column(Table *table, int key) {
    return &table->columns[table->named + key];
}

static inline uint8_t *reserve(Buffer *buffer, int64_t more) {
    if (buffer->size + more > buffer->room) {
        int64_t room = buffer->room ? buffer->room * 2 : 256;
        while (room < buffer->size + more) room *= 2;
        uint8_t *data = buffer->failed ? NULL : realloc(buffer->data, (size_t)room);
        if (!data) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

static inline void put(Buffer *buffer, const void *from, int64_t size) {
    if (!size) return; /* `from` may be null: a key that was not given */
    uint8_t *to = reserve(buffer, size);
    if (to) {
        memcpy(to, from, (size_t)size);
        buffer->size += size;
    }
}

static inline void put_char(Buffer *buffer, char c) {
    put(buffer, &c, 1);
}

static inline void put_bit(Buffer *bits, int64_t row, int set) {
    if (row >> 3 >= bits->size) put_char(bits, 0);
    if (bits->failed) return;
    uint8_t mask = (uint8_t)(1 << (row & 7)), *byte = &bits->data[row >> 3];
    *byte = set ? *byte | mask : *byte & (uint8_t)~mask;
}

/* Validity is kept from the first null on: most columns never have one. */
static inline void end_cell(Column *column, int valid) {
    if (!valid || column->nulls) {
        if (!column->nulls)
            for (int64_t row = 0; row < column->rows; row += 8) put_char(&column->valid, (char)0xFF);
        put_bit(&column->valid, column->rows, valid);
        column->nulls += !valid;
    }
    column->rows++;
}

static inline void put_u64(Column *column, uint64_t value, int valid) {
    put(&column->data, &value, 8);
    end_cell(column, valid);
}

static inline void put_32(Column *column, uint32_t value) {
    put(&column->data, &value, 4);
    end_cell(column, 1);
}

static inline void put_8(Column *column, uint64_t value, int valid) {
    put_char(&column->data, (char)(uint8_t)value);
    end_cell(column, valid);
}

static inline void put_flag(Column *column, int value) {
    put_bit(&column->data, column->rows, value);
    end_cell(column, 1);
}

/* Ends a cell whose bytes were put into column->data. */
static inline void end_text(Column *column, int valid) {
    int32_t size = (int32_t)column->data.size;
    if (column->data.size > LIMIT_TEXT) column->data.failed = 1;
    put(&column->offsets, &size, 4);
    end_cell(column, valid);
}

static inline void put_text(Column *column, Bytes text) {
    if (column->data.size <= LIMIT_TEXT) put(&column->data, text.at, length(text));
    end_text(column, 1);
}

/* Ends a list whose items were put into the column inside, of which there are now `items`. */
static inline void end_list(Column *column, int64_t items, int valid) {
    int32_t end = (int32_t)items;
    if (items > INT32_MAX) column->data.failed = 1;
    put(&column->offsets, &end, 4);
    end_cell(column, valid);
}

/* Where the last list ended. */
static inline int64_t lists_end(const Column *column) {
    int32_t end = 0;
    if (column->offsets.size >= 4) memcpy(&end, column->offsets.data + column->offsets.size - 4, 4);
    return end;
}

#endif
