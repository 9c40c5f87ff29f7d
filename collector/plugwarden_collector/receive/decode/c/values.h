/* Attribute lists and their values, read from the wire and written as JSON. */
#ifndef PLUGWARDEN_VALUES_H
#define PLUGWARDEN_VALUES_H

#include "columns.h"

#define LIMIT_ATTRIBUTES 64  /* of one list; repeated keys are looked for by comparing all pairs */
#define LIMIT_KEYS       32  /* that become columns */
#define LIMIT_NAME       200 /* characters; as contract/names.MAX_NAME */
#define LIMIT_DEPTH      16  /* of nested values; as attributes.MAX_DEPTH */

enum { UNSET, STRING = 1, BOOL = 2, INT = 3, DOUBLE = 4, ARRAY = 5, KVLIST = 6, BYTES = 7 }; /* field numbers of AnyValue */

typedef struct {
    int kind;
    uint64_t number;
    Bytes bytes;
} Value;
typedef struct {
    Bytes key;
    Value value;
} Pair;
typedef struct {
    int count;
    Pair pairs[LIMIT_ATTRIBUTES];
} Pairs;

typedef struct {
    Bytes keys[LIMIT_KEYS];
    uint8_t taken[LIMIT_KEYS]; /* left out of the other attributes */
    uint8_t names[LIMIT_KEYS]; /* whose values name something */
    int32_t count;
} Keys;

/* One more attribute from its field; 0 when it is odd, or one too many. */
int add_pair(Pairs *pairs, const Field *field);
/* Attributes as a JSON object. */
int put_pairs(Column *to, const Pairs *pairs);
/* The same of a row: the values of `keys` go to the hot columns; 0 also where one that is to be a name may not be one. */
int put_attributes(Table *table, Column *to, const Pairs *pairs, const Keys *keys);

#endif
