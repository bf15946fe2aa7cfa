/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// Guest memory: allocated from a memfd, so that an engine can map the same
// pages elsewhere, and described to the core block by block.
//
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "glue.h"
#include "gui/siminterface.h"
#include "param_names.h"

#define LOG_THIS genlog->

static int ram_fd = -1;
static Bit8u *ram_base;
static Bit64u ram_bytes; // what Bochs has asked for, and scratch memory behind it

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

// Hosts may want to be told that it is no program (sysctl vm.memfd_noexec); older ones can't be.
static int memory_object(void)
{
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = memfd_create("bochs-guest-ram", flags | MFD_NOEXEC_SEAL);
  return fd < 0 && errno == EINVAL ? memfd_create("bochs-guest-ram", flags) : fd;
}

// Where the host promises no more memory than it has, ours is taken now: it is counted when
// it is first touched, and too late that is SIGBUS.
static int reserve(int fd, Bit64u bytes)
{
  FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
  int never = 2, policy = 0;

  if (! f) return 0;
  if (fscanf(f, "%d", &policy) != 1) policy = 0;
  fclose(f);
  return policy == never ? fallocate(fd, 0, 0, (off_t) bytes) : 0;
}

// A memory object counts as a file: beyond RLIMIT_FSIZE this is EFBIG, and a deadly signal.
static int set_size(int fd, Bit64u bytes)
{
  struct sigaction ignore, old;

  memset(&ignore, 0, sizeof(ignore));
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &ignore, &old);
  int ret = ftruncate(fd, (off_t) bytes), err = errno;
  sigaction(SIGXFSZ, &old, NULL);
  errno = err;
  return ret;
}

// Bochs's CPU holds its decoded instructions, 25 MB, and after some milliseconds of native code
// the host's TLB knows little of that. A hint: hosts with THP "never" ignore it.
void plex86_cpu_huge_pages(void)
{
  size_t first = (size_t) BX_CPU(0), end = first + sizeof(BX_CPU_C);

  first = (first + 0xfff) & ~(size_t) 0xfff;
  madvise((void *) first, (end & ~(size_t) 0xfff) - first, MADV_HUGEPAGE);
  madvise((void *) first, (end & ~(size_t) 0xfff) - first, MADV_COLLAPSE); // what is in use already
}

Bit8u *plex86_ram_alloc(Bit64u bytes, Bit64u scratch)
{
  if (ram_fd >= 0) return NULL; // one guest memory at a time
  bytes = ((bytes + 0xfff) & ~(Bit64u) 0xfff) + scratch;
  int fd = memory_object();
  if (fd < 0) {
    BX_ERROR(("plex86: no memory object for the guest's RAM: %s", strerror(errno)));
    return NULL;
  }
  void *base = MAP_FAILED;
  if (set_size(fd, bytes) == 0 && reserve(fd, bytes) == 0)
    base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    BX_ERROR(("plex86: can't allocate " FMT_LL "u bytes of shared guest RAM: %s%s", bytes,
              strerror(errno), errno == EFBIG ? " (ulimit -f)" : ""));
    close(fd);
    return NULL;
  }
  madvise(base, bytes, MADV_HUGEPAGE); // a hint: fewer host TLB misses for Bochs
  ram_fd = fd;
  ram_base = (Bit8u *) base;
  ram_bytes = bytes;
  return ram_base;
}

void plex86_ram_free(Bit8u *ram)
{
  munmap(ram, ram_bytes);
  close(ram_fd);
  ram_fd = -1;
  ram_base = NULL;
  ram_bytes = 0;
}

bool plex86_ram_object(int *fd, void **ram, Bit64u *size)
{
  if (ram_fd < 0) return false;
  *fd = ram_fd;
  *ram = ram_base;
  *size = ram_bytes;
  return true;
}

Bit32u plex86_ram_block_size(void)
{
  return (Bit32u) SIM->get_param_num(BXPN_MEM_BLOCK_SIZE)->get() * 1024;
}

// get_vector() allocates a block on first touch and never moves it while guest
// and host memory are of the same size. Going through all of them in ascending
// order makes the map complete and, for what nobody has touched yet, contiguous.
bool plex86_ram_describe(struct plex86_core *core)
{
  Bit64u block = plex86_ram_block_size(), blocks = BX_MEM(0)->get_memory_len() / block;

  for (Bit64u n = 0; n < blocks; n++) {
    if (plex86_core_set_block(core, n, BX_MEM(0)->get_vector(n * block)) < 0)
      return false;
  }
  return true;
}
