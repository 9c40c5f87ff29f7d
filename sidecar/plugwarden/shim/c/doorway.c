/* A plain call on its way through: what `function.py` does for most calls, step for step, without the interpreter.

   It takes a call that nothing is to be decided about and that is not measured, and records it when it ends as a plain success. All
   others it leaves to `function.py`: before the call by answering PASSED with nothing done, after it by `finish` and `fail`.
   No step between the entry and the call runs code of Python's, so nothing can interrupt one half way. */
#include "doorway.h"

#include <structmember.h>
#include <time.h>

#define USUAL 4 /* kinds of results that are known to be all there is to a call */

typedef struct {
    PyObject_HEAD
    PyObject *operation, *function, *variable, *running, *clock, *finish, *fail;
    PyObject *invocation_type, *context_type, *span_key, *invocation_key, *attempt_key;
    PyObject *spare_invocation, *spare_context;
    PyObject *usual[USUAL];
    int next_usual;
    int steady; /* whether the clock is the one that `now` reads by itself */
    /* of the operation */
    Slot calls, sample_mask, guarded, bulkhead, limit, waiting, timeout_ns, limit_ns, breaker, keep_at, slowest_ns, append, count, faults;
    /* of the invocation */
    Slot its_operation, its_parent, its_ids, its_more, its_let_go, its_started_ns, its_duration_ns, its_deadline_ns;
    /* of the breaker, whose class is known with the first of them */
    PyTypeObject *breaker_type;
    Slot slot_ends_ns, breaker_calls;
} Doorway;

Slot slot_of(PyTypeObject *type, const char *name) {
    PyObject *found = PyDict_GetItemString(type->tp_dict, name);
    if (found == NULL || Py_TYPE(found) != &PyMemberDescr_Type) {
        PyErr_Format(PyExc_TypeError, "%s.%s is no slot", type->tp_name, name);
        return -1;
    }
    return ((PyMemberDescrObject *)found)->d_member->offset;
}

/* A whole number of a slot; -1 with nothing set where there is none. */
static long long number(PyObject *object, Slot at) {
    PyObject *held = *slot(object, at);
    if (held == NULL || !PyLong_CheckExact(held))
        return -1;
    int beyond;
    long long found = PyLong_AsLongLongAndOverflow(held, &beyond);
    return beyond > 0 ? LLONG_MAX : found;
}

static int put_number(PyObject *object, Slot at, long long told) {
    PyObject *made = PyLong_FromLongLong(told);
    if (made == NULL)
        return -1;
    fill(object, at, made);
    return 0;
}

static long long now(Doorway *self) {
#ifdef __linux__
    if (self->steady) { /* what `time.perf_counter_ns` reads there */
        struct timespec told;
        clock_gettime(CLOCK_MONOTONIC, &told);
        return (long long)told.tv_sec * 1000000000 + told.tv_nsec;
    }
#endif
    PyObject *told = PyObject_CallNoArgs(self->clock);
    if (told == NULL)
        return -1;
    long long found = PyLong_AsLongLong(told);
    Py_DECREF(told);
    return found;
}

/* An error of ours: counted, and never the caller's. What is no `Exception`, as an interrupt, stays set: -1. */
static int fault(Doorway *self) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear();
    long long faults = number(self->operation, self->faults);
    if (put_number(self->operation, self->faults, faults + 1) < 0)
        PyErr_Clear();
    return 0;
}

/* Leave the context; elsewhere than where it was entered (ValueError) there is nothing to restore. */
static int leave(Doorway *self, PyObject *token) {
    int left = PyContextVar_Reset(self->variable, token);
    Py_DECREF(token);
    return left;
}

static int is_usual(Doorway *self, PyObject *result) {
    for (int n = 0; n < USUAL; n++)
        if (self->usual[n] == (PyObject *)Py_TYPE(result))
            return 1;
    return 0;
}

/* The invocation and its context, made or used again; 0 with both set. */
static int prepare(Doorway *self, PyObject *parent, PyObject **invocation, PyObject **context) {
    if (self->spare_invocation != NULL) {
        *invocation = self->spare_invocation;
        *context = self->spare_context;
        self->spare_invocation = self->spare_context = NULL;
    } else {
        PyTypeObject *type = (PyTypeObject *)self->invocation_type;
        PyObject *made = type->tp_alloc(type, 0), *around = PyObject_CallNoArgs(self->context_type);
        if (made == NULL || around == NULL || PyDict_SetItem(around, self->span_key, made) < 0 ||
            PyDict_SetItem(around, self->invocation_key, made) < 0) {
            Py_XDECREF(made);
            Py_XDECREF(around);
            return -1;
        }
        fill(made, self->its_operation, Py_NewRef(self->operation));
        fill(made, self->its_ids, Py_NewRef(Py_None));
        fill(made, self->its_more, Py_NewRef(Py_None));
        fill(made, self->its_deadline_ns, PyLong_FromLong(0)); /* a small one: it is there already */
        *invocation = made;
        *context = around;
    }
    PyObject *told = parent == NULL ? NULL : *slot(parent, self->its_let_go);
    fill(*invocation, self->its_parent, Py_NewRef(parent == NULL ? Py_None : parent));
    fill(*invocation, self->its_let_go, Py_NewRef(told == NULL ? Py_False : told));
    return 0;
}

/* Counts the call for the breaker, if there is one. */
static int tell_breaker(Doorway *self, long long ended) {
    PyObject *breaker = *slot(self->operation, self->breaker);
    if (breaker == NULL || breaker == Py_None)
        return 0;
    if (Py_TYPE(breaker) != self->breaker_type) {
        self->slot_ends_ns = slot_of(Py_TYPE(breaker), "slot_ends_ns");
        self->breaker_calls = slot_of(Py_TYPE(breaker), "calls");
        if (self->slot_ends_ns < 0 || self->breaker_calls < 0)
            return -1;
        Py_INCREF(Py_TYPE(breaker));
        Py_XSETREF(self->breaker_type, Py_TYPE(breaker));
    }
    Py_INCREF(breaker);
    int told = 0;
    if (ended >= number(breaker, self->slot_ends_ns)) {
        PyObject *at = PyLong_FromLongLong(ended);
        PyObject *turned = at == NULL ? NULL : PyObject_CallMethod(breaker, "turn", "O", at);
        Py_XDECREF(at);
        Py_XDECREF(turned);
        told = turned == NULL ? -1 : 0;
    }
    if (told == 0)
        told = put_number(breaker, self->breaker_calls, number(breaker, self->breaker_calls) + 1);
    Py_DECREF(breaker);
    return told;
}

static int give(Doorway *self, Slot taker, PyObject *what) {
    PyObject *take = Py_XNewRef(*slot(self->operation, taker));
    PyObject *taken = take == NULL || what == NULL ? NULL : PyObject_CallOneArg(take, what);
    Py_XDECREF(take);
    Py_XDECREF(taken);
    return taken == NULL ? -1 : 0;
}

static int give_number(Doorway *self, Slot taker, long long told) {
    PyObject *what = PyLong_FromLongLong(told);
    int given = give(self, taker, what);
    Py_XDECREF(what);
    return given;
}

/* Records a plain success. Takes over both references: the two are kept for the next call where nobody else holds them. */
static int record(Doorway *self, PyObject *invocation, PyObject *context, int nested, long long tick, long long ended,
                  long long took) {
    int told = tell_breaker(self, ended), reusable = 0;
    PyObject *operation = self->operation;
    long long keep_at = number(operation, self->keep_at);
    int unnamed = *slot(invocation, self->its_ids) == Py_None && *slot(invocation, self->its_more) == Py_None;
    /* Two of the context, and ours; and ours alone of the context. */
    int alone = Py_REFCNT(invocation) == 3 && Py_REFCNT(context) == 1;
    if (told == 0) {
        if (keep_at < 0 || !unnamed) {
            told = give(self, self->append, invocation);
        } else if (nested) {
            if (*slot(invocation, self->its_let_go) == Py_True) {
                told = give_number(self, self->count, took);
                reusable = alone;
            } else {
                told = give(self, self->append, invocation);
            }
        } else if (!alone) {
            told = give(self, self->append, invocation);
        } else if (tick >= keep_at) {
            PyObject *kept = PyObject_CallMethod(operation, "keep", "OL", invocation, tick);
            Py_XDECREF(kept);
            told = kept == NULL ? -1 : 0;
        } else if (took > number(operation, self->slowest_ns)) {
            told = put_number(operation, self->slowest_ns, took);
            told = told < 0 ? told : give(self, self->append, invocation);
        } else {
            told = give_number(self, self->count, took);
            reusable = 1;
        }
    }
    if (reusable && self->spare_invocation == NULL) {
        fill(invocation, self->its_parent, Py_NewRef(Py_None)); /* no chain of finished calls stays alive */
        self->spare_invocation = invocation;
        self->spare_context = context;
    } else {
        Py_DECREF(invocation);
        Py_DECREF(context);
    }
    return told;
}

/* The call raised: what `fail` makes of it decides whether a fallback answers. Takes over the references. */
static PyObject *raised(Doorway *self, PyObject *invocation, PyObject *context, PyObject *token, long long ended, long long took) {
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    if (trace != NULL)
        PyException_SetTraceback(error, trace);
    if (leave(self, token) < 0)
        PyErr_Clear();
    PyObject *handled = PyErr_GetHandledException(), *answer = NULL;
    PyErr_SetHandledException(error); /* as in an `except` block: what is raised meanwhile knows it for its context */
    if (put_number(invocation, self->its_duration_ns, took) == 0)
        answer = PyObject_CallFunction(self->fail, "OOL", invocation, error, ended);
    Py_DECREF(invocation);
    Py_DECREF(context);
    int stopped = answer == NULL && fault(self) < 0; /* an interrupt that came in between goes on instead */
    PyErr_SetHandledException(handled);
    Py_XDECREF(handled);
    int instead = answer == Py_True;
    Py_XDECREF(answer);
    if (stopped || instead) {
        Py_XDECREF(kind);
        Py_XDECREF(error);
        Py_XDECREF(trace);
        return stopped ? NULL : Py_NewRef(answered);
    }
    PyErr_Restore(kind, error, trace);
    return NULL;
}

/* The call returned. Takes over the references; answers the result, or what it turns into. */
static PyObject *returned(Doorway *self, PyObject *args, PyObject *kwargs, PyObject *invocation, PyObject *context, PyObject *token,
                          int nested, long long tick, long long ended, long long took, PyObject *result) {
    int told = put_number(invocation, self->its_duration_ns, took);
    if (leave(self, token) < 0)
        told = -1;
    if (told == 0) {
        PyObject *operation = self->operation;
        PyObject *waiting = *slot(operation, self->waiting);
        Py_ssize_t queue = waiting == NULL ? 0 : PyObject_Size(waiting);
        if (queue < 0)
            PyErr_Clear();
        if (queue == 0 && *slot(invocation, self->its_more) == Py_None &&
            took <= number(operation, self->limit_ns) && is_usual(self, result)) {
            if (record(self, invocation, context, nested, tick, ended, took) < 0 && fault(self) < 0)
                Py_CLEAR(result);
            return result;
        }
        /* In a list, so that `finish` alone holds it: what runs later is taken over only where nobody else has it. */
        PyObject *held = PyList_New(1), *instead = NULL;
        if (held != NULL) {
            PyList_SET_ITEM(held, 0, result);
            instead = PyObject_CallFunction(self->finish, "OOOOOOL", self, invocation, context, held, args, kwargs, ended);
            Py_DECREF(held);
        } else {
            Py_DECREF(result);
        }
        Py_DECREF(invocation);
        Py_DECREF(context);
        return instead;
    }
    Py_DECREF(invocation);
    Py_DECREF(context);
    if (fault(self) < 0)
        Py_CLEAR(result);
    return result;
}

static PyObject *call(Doorway *self, PyObject *const *given, Py_ssize_t count) {
    if (count != 2 || !PyTuple_Check(given[0]) || !PyDict_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "a tuple and a dict");
        return NULL;
    }
    PyObject *operation = self->operation, *outer = NULL, *parent = NULL;
    long long tick = number(operation, self->calls);
    Py_ssize_t running = PySet_GET_SIZE(self->running);
    if (tick < 0 || !(tick & number(operation, self->sample_mask)) || *slot(operation, self->guarded) != Py_False ||
        running >= number(operation, self->limit))
        return Py_NewRef(passed);
    if (PyContextVar_Get(self->variable, NULL, &outer) < 0 || outer == NULL || !PyDict_Check(outer)) {
        PyErr_Clear();
        Py_XDECREF(outer);
        return Py_NewRef(passed);
    }
    Py_ssize_t around = PyDict_GET_SIZE(outer);
    if ((around == 1 || around == 3) && PyDict_Contains(outer, self->attempt_key) == 1)
        around--; /* what goes back to an earlier version: of no meaning below a call, so it is not handed on */
    if (around > 0) { /* below another call of ours, and nothing else is to be handed on */
        parent = PyDict_GetItemWithError(outer, self->span_key);
        if (around != 2 || parent == NULL || (PyObject *)Py_TYPE(parent) != self->invocation_type ||
            PyDict_GetItemWithError(outer, self->invocation_key) == NULL || number(parent, self->its_deadline_ns) != 0 ||
            (running > 0 && *slot(operation, self->bulkhead) != Py_None)) { /* it may be within itself, and takes no place then */
            PyErr_Clear();
            Py_DECREF(outer);
            return Py_NewRef(passed);
        }
    }
    PyObject *invocation = NULL, *context = NULL, *token = NULL;
    long long started = -1, timeout = number(operation, self->timeout_ns);
    if (prepare(self, parent, &invocation, &context) == 0) {
        if (PySet_Add(self->running, invocation) == 0) {
            /* Looked at once more, with its own place taken: memory that was tidied up in between may have let another call in. */
            started = PySet_GET_SIZE(self->running) > number(operation, self->limit) ? -1 : now(self);
            if (started >= 0 && put_number(invocation, self->its_started_ns, started) == 0 &&
                (timeout == 0 || put_number(invocation, self->its_deadline_ns, started + timeout) == 0) &&
                put_number(operation, self->calls, tick + 1) == 0)
                token = PyContextVar_Set(self->variable, context);
        }
    }
    Py_DECREF(outer);
    if (token == NULL) { /* no memory, for one: the general way does what can be done */
        PyErr_Clear();
        if (invocation != NULL && PySet_Discard(self->running, invocation) < 0)
            PyErr_Clear();
        Py_XDECREF(invocation);
        Py_XDECREF(context);
        return Py_NewRef(passed);
    }
    PyObject *kwargs = given[1];
    PyObject *result = PyObject_Call(self->function, given[0], PyDict_GET_SIZE(kwargs) ? kwargs : NULL);
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    long long ended = now(self);
    if (ended < 0) {
        PyErr_Clear();
        ended = started;
    }
    if (PySet_Discard(self->running, invocation) < 0)
        PyErr_Clear();
    if (timeout != 0) /* what it started and did not wait for is not bound by it any more */
        fill(invocation, self->its_deadline_ns, PyLong_FromLong(0));
    PyErr_Restore(kind, error, trace);
    if (result == NULL)
        return raised(self, invocation, context, token, ended, ended - started);
    return returned(self, given[0], kwargs, invocation, context, token, parent != NULL, tick, ended, ended - started, result);
}

/* Results of this type are all there is to a call. */
static PyObject *know(Doorway *self, PyObject *type) {
    Py_XSETREF(self->usual[self->next_usual], Py_NewRef(type));
    self->next_usual = (self->next_usual + 1) % USUAL;
    Py_RETURN_NONE;
}

static int begin(Doorway *self, PyObject *args, PyObject *named) {
    static char *names[] = {"operation", "function", "variable", "clock", "steady", "finish", "fail", "invocation",
                            "context", "span_key", "invocation_key", "attempt_key", NULL};
    PyObject *operation, *function, *variable, *clock, *finish, *fail, *span_key, *invocation_key, *attempt_key;
    PyTypeObject *invocation, *context;
    int steady;
    if (!PyArg_ParseTupleAndKeywords(args, named, "$OOO!OpOOO!O!OOO", names, &operation, &function, &PyContextVar_Type, &variable,
                                     &clock, &steady, &finish, &fail, &PyType_Type, &invocation, &PyType_Type, &context, &span_key,
                                     &invocation_key, &attempt_key))
        return -1;
    struct { PyTypeObject *type; const char *name; Slot *at; } slots[] = {
        {Py_TYPE(operation), "calls", &self->calls}, {Py_TYPE(operation), "sample_mask", &self->sample_mask},
        {Py_TYPE(operation), "guarded", &self->guarded}, {Py_TYPE(operation), "bulkhead", &self->bulkhead},
        {Py_TYPE(operation), "limit", &self->limit}, {Py_TYPE(operation), "waiting", &self->waiting},
        {Py_TYPE(operation), "timeout_ns", &self->timeout_ns}, {Py_TYPE(operation), "limit_ns", &self->limit_ns},
        {Py_TYPE(operation), "breaker", &self->breaker}, {Py_TYPE(operation), "keep_at", &self->keep_at},
        {Py_TYPE(operation), "slowest_ns", &self->slowest_ns}, {Py_TYPE(operation), "append", &self->append},
        {Py_TYPE(operation), "count", &self->count}, {Py_TYPE(operation), "faults", &self->faults},
        {invocation, "operation", &self->its_operation}, {invocation, "parent", &self->its_parent},
        {invocation, "ids", &self->its_ids}, {invocation, "more", &self->its_more}, {invocation, "let_go", &self->its_let_go},
        {invocation, "started_ns", &self->its_started_ns}, {invocation, "duration_ns", &self->its_duration_ns},
        {invocation, "deadline_ns", &self->its_deadline_ns},
    };
    for (size_t n = 0; n < sizeof slots / sizeof *slots; n++)
        if ((*slots[n].at = slot_of(slots[n].type, slots[n].name)) < 0)
            return -1;
    PyObject *running = PyObject_GetAttrString(operation, "running");
    if (running == NULL)
        return -1;
    Py_XSETREF(self->running, running);
    Py_XSETREF(self->operation, Py_NewRef(operation));
    Py_XSETREF(self->function, Py_NewRef(function));
    Py_XSETREF(self->variable, Py_NewRef(variable));
    Py_XSETREF(self->clock, Py_NewRef(clock));
    Py_XSETREF(self->finish, Py_NewRef(finish));
    Py_XSETREF(self->fail, Py_NewRef(fail));
    Py_XSETREF(self->invocation_type, Py_NewRef(invocation));
    Py_XSETREF(self->context_type, Py_NewRef(context));
    Py_XSETREF(self->span_key, Py_NewRef(span_key));
    Py_XSETREF(self->invocation_key, Py_NewRef(invocation_key));
    Py_XSETREF(self->attempt_key, Py_NewRef(attempt_key));
    self->steady = steady;
    return 0;
}

static int visit_all(Doorway *self, visitproc visit, void *arg) {
    Py_VISIT(self->operation);
    Py_VISIT(self->function);
    Py_VISIT(self->variable);
    Py_VISIT(self->running);
    Py_VISIT(self->clock);
    Py_VISIT(self->finish);
    Py_VISIT(self->fail);
    Py_VISIT(self->invocation_type);
    Py_VISIT(self->context_type);
    Py_VISIT(self->spare_invocation);
    Py_VISIT(self->spare_context);
    Py_VISIT(self->breaker_type);
    for (int n = 0; n < USUAL; n++)
        Py_VISIT(self->usual[n]);
    return 0;
}

static int let_go(Doorway *self) {
    Py_CLEAR(self->operation);
    Py_CLEAR(self->function);
    Py_CLEAR(self->variable);
    Py_CLEAR(self->running);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->finish);
    Py_CLEAR(self->fail);
    Py_CLEAR(self->invocation_type);
    Py_CLEAR(self->context_type);
    Py_CLEAR(self->span_key);
    Py_CLEAR(self->invocation_key);
    Py_CLEAR(self->attempt_key);
    Py_CLEAR(self->spare_invocation);
    Py_CLEAR(self->spare_context);
    Py_CLEAR(self->breaker_type);
    for (int n = 0; n < USUAL; n++)
        Py_CLEAR(self->usual[n]);
    return 0;
}

static void end(Doorway *self) {
    PyObject_GC_UnTrack(self);
    let_go(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {
    {"call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, "The result of the function, PASSED or ANSWERED."},
    {"know", (PyCFunction)know, METH_O, "Results of this type are all there is to a call."},
    {NULL},
};

PyTypeObject DoorwayType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "plugwarden.shim.native.Doorway",
    .tp_basicsize = sizeof(Doorway),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "One wrapped function, for its plain calls.",
    .tp_traverse = (traverseproc)visit_all,
    .tp_clear = (inquiry)let_go,
    .tp_dealloc = (destructor)end,
    .tp_methods = methods,
    .tp_init = (initproc)begin,
    .tp_new = PyType_GenericNew,
};
