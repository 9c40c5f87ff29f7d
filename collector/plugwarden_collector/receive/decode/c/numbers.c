/* The rules of numbers.py, in its order of names. */
#include "numbers.h"

#define MAX_SECONDS    1e15
#define MAX_CALLS      (1ull << 32)
#define MAX_CALLS_EVER (1ull << 53)
#define LEAST_SCALE    (-10)
#define MAX_LIST       (1 << 16)

enum { DELTA = 1, CUMULATIVE = 2 };

static const struct {
    const char *name;
    Measure measure;
} counted[] = {
    {"plugin.invocation.duration", OF_DURATIONS},
    {"plugin.downstream.duration", OF_DURATIONS},
    {"plugin.cpu.time", OF_AMOUNTS},
};

static const struct {
    const char *code;
    double seconds;
} units[] = {
    {"s", 1}, {"", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"min", 60}, {"h", 3600},
};

static int is(Bytes text, const char *word) {
    size_t size = strlen(word);
    return (size_t)length(text) == size && (!size || !memcmp(text.at, word, size));
}

int measured(Bytes name, Bytes unit, Measured *to) {
    to->measure = OF_OTHERS;
    to->seconds = 1;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (is(name, counted[i].name)) to->measure = counted[i].measure;
    if (to->measure == OF_OTHERS) return 1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (is(unit, units[i].code)) {
            to->seconds = units[i].seconds;
            return 1;
        }
    return 0;
}

static double real(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static int time_can_be(uint64_t bits, double seconds) {
    double value = real(bits) * seconds;
    return value >= 0 && value <= MAX_SECONDS; /* neither holds of what is no number */
}

int amount_can_be(const Told *told, const Measured *of) {
    return of->measure != OF_AMOUNTS || time_can_be(told->value, of->seconds);
}

int population_can_be(const Told *told, const Measured *of) {
    if (!told->count) {
        if (real(told->sum) != 0) return 0;
    } else if (told->has_min && told->has_max && real(told->min) > real(told->max)) return 0;
    if (of->measure != OF_DURATIONS) return 1;
    if (of->temporality != DELTA && of->temporality != CUMULATIVE) return 0;
    if (told->count >= (of->temporality == DELTA ? MAX_CALLS : MAX_CALLS_EVER)) return 0;
    return time_can_be(told->sum, of->seconds) &&
           (!told->count || (time_can_be(told->min, of->seconds) && time_can_be(told->max, of->seconds)));
}

static int add(uint64_t *total, uint64_t more) {
    *total += more;
    return *total >= more; /* else it has wrapped around */
}

int bounded_can_be(Bytes counts, Bytes bounds, uint64_t count, const Measured *of, int64_t *buckets) {
    int64_t sizes = length(counts) / 8, ends = length(bounds) / 8;
    uint64_t total = 0;
    double last = 0;
    *buckets += sizes + ends;
    if (!sizes && !ends) return *buckets <= LIMIT_BUCKETS;
    if (sizes != ends + 1 || sizes > MAX_LIST || *buckets > LIMIT_BUCKETS) return 0;
    for (int64_t i = 0; i < sizes; i++) {
        uint64_t in = fixed(counts.at + 8 * i, 8);
        double bound = i < ends ? real(fixed(bounds.at + 8 * i, 8)) : 0;
        if (i < ends && (bound != bound || (i && !(bound > last)))) return 0;
        if (in && i < ends && bound < 0 && of->measure == OF_DURATIONS) return 0;
        if (!add(&total, in)) return 0;
        last = bound;
    }
    return total == count;
}

static int side_can_be(const Side *side, int32_t scale, int64_t kept, uint64_t *total, int64_t *buckets) {
    int64_t at = side->offset, finer = scale - kept,
            shift = finer < 0    ? 0
                    : finer > 62 ? 62
                                 : finer,
            coarser = finer < 0 ? -finer : 0;
    int64_t least = (-(1074ll << kept) - 1) >> coarser, most = (1024ll << kept) >> coarser, length = 0;
    uint64_t count;
    for (Bytes in = side->counts; in.at < in.end; at++) {
        if (!varint(&in, &count) || ++length > MAX_LIST || ++*buckets > LIMIT_BUCKETS) return 0;
        if (!count) continue;
        int64_t index = at >> shift; /* rounded down, as every compiler has it */
        if (index < least || index > most || !add(total, count)) return 0;
    }
    return 1;
}

int exponential_can_be(const Side *positive, const Side *negative, int32_t scale, int64_t kept, uint64_t zero, uint64_t count,
                       const Measured *of, int64_t *buckets) {
    uint64_t total = zero;
    if (scale < LEAST_SCALE || !side_can_be(positive, scale, kept, &total, buckets)) return 0;
    uint64_t above = total;
    if (!side_can_be(negative, scale, kept, &total, buckets)) return 0;
    return total == count && (total == above || of->measure != OF_DURATIONS);
}
