/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// Between Bochs and the core: state out, state in, guest memory, callbacks.
// No policy here: whatever is decided is decided in plugin/.
//
#ifndef PLEX86_GLUE_H
#define PLEX86_GLUE_H

#include "bochs.h"
#include "cpu/cpu.h"
#include "pc_system.h"
#include "memory/memory-bochs.h"

#include "../plugin/core.h"

// An unpatched Bochs has none of these; then their address is NULL, and INIT says so.
#pragma weak bx_cpu_accel
#pragma weak bx_accel_abi
#pragma weak bx_cpu_accel_wanted
#pragma weak bx_cpu_accel_page_change

// state.cc
void plex86_export_cpu(struct plex86_cpu *cpu);
void plex86_import_cpu(const struct plex86_cpu *was, const struct plex86_cpu *now);
void plex86_export_env(struct plex86_env *env);
void plex86_export_tables(struct plex86_tables *tables);
Bit64u plex86_page_root(void);

// vec.cc
void plex86_export_vec(struct plex86_vec *vec);
void plex86_import_vec(const struct plex86_vec *vec);

// ram.cc
void plex86_cpu_huge_pages(void);
Bit8u *plex86_ram_alloc(Bit64u bytes, Bit64u scratch);
void plex86_ram_free(Bit8u *ram);
bool plex86_ram_object(int *fd, void **ram, Bit64u *size);
Bit32u plex86_ram_block_size(void);
bool plex86_ram_describe(struct plex86_core *core);

// trace.cc; 0 or a negative errno
int plex86_trace_start(const char *path);
int plex86_trace_stop(void);

// hooks.cc
void plex86_hooks_init(struct plex86_core *core, int timer);
void plex86_hooks_register(bool (*is_enabled)(void), Bit64u (*scratch)(void), void (*end)(void));
void plex86_hooks_unregister(void);
void plex86_hooks_timer(void *this_ptr);
extern const struct plex86_host_ops plex86_glue_host_ops;

#endif
