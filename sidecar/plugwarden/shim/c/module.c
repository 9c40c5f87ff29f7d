/* plugwarden.shim.native: the way of a plain call in C. `function.py` and `stand_in.py` have the same in Python. */
#include "doorway.h"

PyObject *passed, *answered;

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "native", .m_doc = "The way of a plain call in C.", .m_size = -1};

PyMODINIT_FUNC PyInit_native(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyType_Ready(&DoorwayType) < 0 || PyType_Ready(&ForwardingType) < 0)
        return NULL;
    passed = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    answered = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    if (passed == NULL || answered == NULL || PyModule_AddObjectRef(module, "PASSED", passed) < 0 ||
        PyModule_AddObjectRef(module, "ANSWERED", answered) < 0 ||
        PyModule_AddObjectRef(module, "Doorway", (PyObject *)&DoorwayType) < 0 ||
        PyModule_AddObjectRef(module, "Forwarding", (PyObject *)&ForwardingType) < 0)
        return NULL;
    return module;
}
