/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where each offset of struct kb_layout comes from, per minor version. Both the
 * reader of DWARF (layout.c) and the generator of the built-in table
 * (scripts/gen_layouts.py) work from this one list.
 *
 *   FIELD(field of kb_layout, first minor, last minor, type in DWARF, the same type in C, member)
 *
 * One line each: the generator reads lines. SIZE in place of a member: the size
 * of the type.
 */
FIELD(runtime_interpreters_head, 7, 99, "pyruntimestate", _PyRuntimeState, interpreters.head)
FIELD(runtime_tstate_current, 7, 11, "pyruntimestate", _PyRuntimeState, gilstate.tstate_current)
FIELD(runtime_tss_key, 7, 11, "pyruntimestate", _PyRuntimeState, gilstate.autoTSSkey)
FIELD(runtime_tss_key, 12, 14, "pyruntimestate", _PyRuntimeState, autoTSSkey)
FIELD(interp_next, 6, 99, "_is", PyInterpreterState, next)
FIELD(interp_threads_head, 6, 10, "_is", PyInterpreterState, tstate_head)
FIELD(interp_threads_head, 11, 99, "_is", PyInterpreterState, threads.head)
FIELD(interp_gil, 12, 99, "_is", PyInterpreterState, ceval.gil)
FIELD(interp_gc_collecting, 9, 99, "_is", PyInterpreterState, gc.collecting)
FIELD(tstate_next, 6, 99, "_ts", PyThreadState, next)
FIELD(tstate_interp, 6, 99, "_ts", PyThreadState, interp)
FIELD(tstate_thread_id, 6, 99, "_ts", PyThreadState, thread_id)
FIELD(tstate_native_thread_id, 11, 99, "_ts", PyThreadState, native_thread_id)
FIELD(tstate_frame, 6, 10, "_ts", PyThreadState, frame)
FIELD(tstate_frame, 11, 12, "_ts", PyThreadState, cframe)
FIELD(tstate_frame, 13, 99, "_ts", PyThreadState, current_frame)
FIELD(tstate_exc_info, 11, 99, "_ts", PyThreadState, exc_info)
FIELD(tstate_holds_gil, 15, 99, "_ts", PyThreadState, holds_gil)
FIELD(cframe_current_frame, 11, 12, "_PyCFrame", _PyCFrame, current_frame)
FIELD(frame_previous, 6, 10, "_frame", PyFrameObject, f_back)
FIELD(frame_previous, 11, 99, "_PyInterpreterFrame", _PyInterpreterFrame, previous)
FIELD(frame_code, 6, 10, "_frame", PyFrameObject, f_code)
FIELD(frame_code, 11, 12, "_PyInterpreterFrame", _PyInterpreterFrame, f_code)
FIELD(frame_code, 13, 99, "_PyInterpreterFrame", _PyInterpreterFrame, f_executable)
FIELD(frame_instr, 6, 10, "_frame", PyFrameObject, f_lasti)
FIELD(frame_instr, 11, 12, "_PyInterpreterFrame", _PyInterpreterFrame, prev_instr)
FIELD(frame_instr, 13, 99, "_PyInterpreterFrame", _PyInterpreterFrame, instr_ptr)
FIELD(frame_owner, 11, 99, "_PyInterpreterFrame", _PyInterpreterFrame, owner)
FIELD(code_instructions, 11, 99, "PyCodeObject", PyCodeObject, co_code_adaptive)
FIELD(code_filename, 6, 99, "PyCodeObject", PyCodeObject, co_filename)
FIELD(code_name, 6, 10, "PyCodeObject", PyCodeObject, co_name)
FIELD(code_name, 11, 99, "PyCodeObject", PyCodeObject, co_qualname)
FIELD(code_firstlineno, 6, 99, "PyCodeObject", PyCodeObject, co_firstlineno)
FIELD(code_linetable, 6, 9, "PyCodeObject", PyCodeObject, co_lnotab)
FIELD(code_linetable, 10, 99, "PyCodeObject", PyCodeObject, co_linetable)
FIELD(object_type, 6, 99, "_object", PyObject, ob_type)
FIELD(unicode_length, 6, 99, "PyASCIIObject", PyASCIIObject, length)
FIELD(unicode_state, 6, 99, "PyASCIIObject", PyASCIIObject, state)
FIELD(unicode_ascii_data, 6, 99, "PyASCIIObject", PyASCIIObject, SIZE)
FIELD(unicode_compact_data, 6, 99, "PyCompactUnicodeObject", PyCompactUnicodeObject, SIZE)
FIELD(bytes_size, 6, 99, "PyBytesObject", PyBytesObject, ob_base.ob_size)
FIELD(bytes_data, 6, 99, "PyBytesObject", PyBytesObject, ob_sval)
