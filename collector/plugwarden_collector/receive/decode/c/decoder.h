/* What the decoders of all signals share: limits, keys, and where in a request they are. */
#ifndef PLUGWARDEN_DECODER_H
#define PLUGWARDEN_DECODER_H

#include "values.h"

#define LIMIT_ROWS (1 << 20) /* of one call, and groups: two bytes make a point, and a point two hundred */

enum { KINDS = 5 }; /* of metric points */

typedef struct { /* in the order of native.Limits */
    int64_t now;
    int64_t latest;       /* a later time cannot be meant */
    int64_t oldest;       /* what is older is refused, with a reason, by the general way */
    int64_t max_duration; /* of a span */
    int64_t scale;        /* of exponential buckets; finer ones are brought down to it */
} Limits;

typedef struct {
    const Limits *limits;
    Keys keys;
    Table *rows, *groups;
    Bytes scope_name, scope_version; /* of the scope at hand */
    int64_t buckets;                 /* of the points of the request at hand */
    int64_t adjusted;                /* rows whose clock had to be put right */
    Buffer pending[KINDS];           /* of the request at hand: what is put only when all of it is known */
} Decoder;

typedef struct {
    Table *(*make)(int hot);
    int (*leaf)(Decoder *, Bytes); /* a span, or a metric with its points */
    int (*finish)(Decoder *);      /* the end of a request */
    const char *columns;           /* of a row: a line each, Arrow's format and the name in native.py */
} Signal;

extern const Signal SPANS, METRICS;

/* A time as it is kept, in nanoseconds; `adjusted` where the time of arrival stands in for it (instants.settle). */
static inline int64_t settle(const Limits *limits, uint64_t given, int *adjusted) {
    *adjusted = given == 0 || given > (uint64_t)limits->latest;
    return *adjusted ? limits->now : (int64_t)given;
}

static inline Column *column_of(Decoder *out, int which) {
    return &out->rows->columns[which];
}

#endif
