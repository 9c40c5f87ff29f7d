/* Whether the numbers of a point can be: the rules of numbers.py, which says what is wrong where one is broken. */
#ifndef PLUGWARDEN_NUMBERS_H
#define PLUGWARDEN_NUMBERS_H

#include "wire.h"

#define LIMIT_BUCKETS (1 << 20) /* of one request; as numbers.MAX_BUCKETS */

typedef enum { OF_OTHERS, OF_DURATIONS, OF_AMOUNTS } Measure; /* the last two are counted */

typedef struct { /* what a metric measures */
    Measure measure;
    double seconds; /* of one of its unit */
    uint64_t temporality;
} Measured;

/* What metric this is; 0 where its unit is one that the general way has to look up. */
int measured(Bytes name, Bytes unit, Measured *to);

/* Doubles by their bits, as they came; what is not given is 0, and `has_…` says so. */
typedef struct {
    uint64_t count, sum, min, max, value;
    int has_min, has_max;
} Told;

/* A number as it stands in a gauge or sum. */
int amount_can_be(const Told *told, const Measured *of);
/* Count, sum, min and max of a population. */
int population_can_be(const Told *told, const Measured *of);
/* Buckets of a histogram with bounds, 8 bytes each. `buckets` counts those of the request. */
int bounded_can_be(Bytes counts, Bytes bounds, uint64_t count, const Measured *of, int64_t *buckets);

typedef struct {
    Bytes counts;
    int32_t offset;
} Side;

/* Buckets of an exponential histogram, varints, at scale `kept` or coarser. */
int exponential_can_be(const Side *positive, const Side *negative, int32_t scale, int64_t kept, uint64_t zero, uint64_t count,
                       const Measured *of, int64_t *buckets);

#endif
