/* Attributes of Python classes with `__slots__`, read and set where the interpreter keeps them. */
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef Py_ssize_t Slot;

/* Where instances of `type` keep the attribute, or -1 with an exception set. */
Slot slot_of(PyTypeObject *type, const char *name);

static inline PyObject **slot(PyObject *object, Slot at) { return (PyObject **)((char *)object + at); }

/* Puts a new reference there. */
static inline void fill(PyObject *object, Slot at, PyObject *value) {
    PyObject *before = *slot(object, at);
    *slot(object, at) = value;
    Py_XDECREF(before);
}

extern PyTypeObject DoorwayType;
extern PyTypeObject ForwardingType;
extern PyObject *passed;
extern PyObject *answered;
