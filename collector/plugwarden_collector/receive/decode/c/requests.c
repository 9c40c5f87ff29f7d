/* OTLP requests to columns, in one pass over the bytes of many of them.
 *
 * Takes what nearly every request is like and nothing else: on anything odd (a bad length, text that is not UTF-8, ids of
 * another size, a field given twice, a time too old, more attributes or deeper values than the limits in values.h) it answers
 * -1, stores nothing, and the caller takes the general way (decode.py), which says exactly what is wrong with what. So nothing
 * here has to repair or to explain, and a differential test holds the two ways to the same columns
 * (tests/collector/receive/decode/test_native.py).
 *
 * No CPython in here: it is called through ctypes, which lets go of the interpreter's lock for the length of the call.
 * A request is resource -> scope -> leaf in every signal, with the same field numbers (opentelemetry-proto, collector/…/v1).
 */
#include "decoder.h"

/* Field numbers, the same in all signals. */
enum { REQUEST_GROUPS = 1 };
enum { GROUP_RESOURCE = 1, GROUP_SCOPED = 2, GROUP_OLD_SCOPED = 1000 }; /* the last before OTLP 0.15: instrumentation_library_… */
enum { SCOPED_SCOPE = 1, SCOPED_LEAVES = 2 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum { ROWS, GROUPS, CLOCKS, COUNTS }; /* of each request, in `counts` */

static int scope_of(Decoder *out, Bytes in) {
    Field field;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == SCOPE_NAME && !text(&field, &out->scope_name)) return 0;
        if (field.number == SCOPE_VERSION && !text(&field, &out->scope_version)) return 0;
    }
    return 1;
}

static int scoped(Decoder *out, Bytes in, const Signal *signal) {
    Field field;
    int scopes = 0;
    out->scope_name = out->scope_version = (Bytes){in.at, in.at};
    for (Bytes ahead = in; ahead.at < ahead.end;) { /* the scope may stand after what is in it */
        if (!next(&ahead, &field)) return 0;
        if (field.number == SCOPED_SCOPE && (field.wire != DELIMITED || scopes++ || !scope_of(out, field.bytes))) return 0;
    }
    while (in.at < in.end && next(&in, &field))
        if (field.number == SCOPED_LEAVES && (field.wire != DELIMITED || !signal->leaf(out, field.bytes))) return 0;
    return 1;
}

static int group(Decoder *out, Bytes in, const Signal *signal) {
    Field field;
    Bytes resource = {in.at, in.at};
    int resources = 0;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == GROUP_OLD_SCOPED) return 0; /* the general way says what to write instead */
        if (field.number == GROUP_RESOURCE) {
            if (field.wire != DELIMITED || resources++) return 0;
            resource = field.bytes;
        } else if (field.number == GROUP_SCOPED) {
            if (field.wire != DELIMITED || !scoped(out, field.bytes, signal)) return 0;
        }
    }
    put_text(&out->groups->columns[0], resource);
    return out->groups->columns[0].rows <= LIMIT_ROWS / 16 && out->rows->columns[0].rows <= LIMIT_ROWS;
}

static int request(Decoder *out, Bytes in, const Signal *signal, int64_t *counts) {
    Field field;
    int64_t rows = out->rows->columns[0].rows, groups = out->groups->columns[0].rows, adjusted = out->adjusted;
    while (in.at < in.end) {
        if (!next(&in, &field)) return 0;
        if (field.number == REQUEST_GROUPS && (field.wire != DELIMITED || !group(out, field.bytes, signal))) return 0;
    }
    if (!signal->finish(out)) return 0;
    counts[ROWS] = out->rows->columns[0].rows - rows;
    counts[GROUPS] = out->groups->columns[0].rows - groups;
    counts[CLOCKS] = out->adjusted - adjusted;
    return 1;
}

/* What native.py expects of this library; one more whenever a signature or a rule changes. */
int32_t plugwarden_abi(void) {
    return 4;
}

/* The columns of a row, a line each: native.py takes a library whose list is its own. */
const char *plugwarden_columns(int32_t metrics) {
    return (metrics ? METRICS : SPANS).columns;
}

/* Requests as columns: the bytes that these take, or -1 for the general way. `keys`: the hot keys one after the other, `lengths` of
 * each, `marks` 1 where it is left out of the other attributes and 2 where its values are names. Gives how many rows and groups
 * each request has and how many clocks of it had to be put right (`counts`, three numbers a request), its rows, and the resource
 * message of each group as it came. */
int64_t plugwarden_decode(int32_t metrics, const uint8_t *const *bodies, const int64_t *sizes, int64_t requests,
                          const uint8_t *keys, const int32_t *lengths, const uint8_t *marks, int32_t hot, const Limits *limits,
                          int64_t *counts, struct ArrowArray *rows, struct ArrowArray *groups) {
    const Signal *signal = metrics ? &METRICS : &SPANS;
    Decoder out = {.limits = limits};
    if (hot > LIMIT_KEYS) return -1;
    out.keys.count = hot;
    for (int k = 0; k < hot; k++) {
        out.keys.keys[k] = (Bytes){keys, keys + lengths[k]};
        out.keys.taken[k] = marks[k] & 1;
        out.keys.names[k] = marks[k] >> 1;
        keys += lengths[k];
    }
    out.rows = signal->make(hot);
    out.groups = new_table("z", 1, 0);
    int good = out.rows && out.groups;
    for (int64_t i = 0; good && i < requests; i++)
        good = request(&out, (Bytes){bodies[i], bodies[i] + sizes[i]}, signal, counts + i * COUNTS);
    for (int i = 0; i < KINDS; i++) free(out.pending[i].data);
    int64_t bytes = good ? hand_over(out.rows, rows) : -1;
    if (bytes >= 0 && hand_over(out.groups, groups) >= 0) return bytes;
    if (bytes >= 0) rows->release = NULL;
    free_table(out.rows);
    free_table(out.groups);
    return -1;
}
