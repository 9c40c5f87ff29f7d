/* The base of stand-ins: an attribute that neither the object nor its class has is its original's, and costs one look-up more.
   By `__getattr__` it would cost an exception more, in a host that asks for marks of a plugin around each call. */
#include "doorway.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD
    PyObject *original;
    PyObject *weak;
} Forwarding;

static PyObject *get(Forwarding *self, PyObject *name) {
    PyObject *found = _PyObject_GenericGetAttrWithDict((PyObject *)self, name, NULL, 1);
    if (found != NULL || PyErr_Occurred())
        return found;
    if (self->original == NULL) {
        PyErr_SetObject(PyExc_AttributeError, name);
        return NULL;
    }
    return PyObject_GetAttr(self->original, name);
}

static int visit_all(Forwarding *self, visitproc visit, void *arg) {
    Py_VISIT(self->original);
    return 0;
}

static int let_go(Forwarding *self) {
    Py_CLEAR(self->original);
    return 0;
}

static void end(Forwarding *self) {
    PyObject_GC_UnTrack(self);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    let_go(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMemberDef members[] = {{"__wrapped__", T_OBJECT_EX, offsetof(Forwarding, original), 0, NULL}, {NULL}};

PyTypeObject ForwardingType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "plugwarden.shim.native.Forwarding",
    .tp_basicsize = sizeof(Forwarding),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Its class's attributes, then those of what it wraps.",
    .tp_getattro = (getattrofunc)get,
    .tp_traverse = (traverseproc)visit_all,
    .tp_clear = (inquiry)let_go,
    .tp_dealloc = (destructor)end,
    .tp_members = members,
    .tp_weaklistoffset = offsetof(Forwarding, weak),
    .tp_new = PyType_GenericNew,
};
