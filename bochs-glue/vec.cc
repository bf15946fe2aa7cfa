/* SPDX-License-Identifier: LGPL-2.1-or-later */
//
// Vector and x87 state out of and into BX_CPU_C. The two functions mirror each
// other; the layout of the first 512 bytes is that of FXSAVE64.
//
#include <string.h>

#include "glue.h"

#define LOG_THIS genlog->

struct fxsave_head {
  Bit16u fcw, fsw;
  Bit8u ftw, reserved;
  Bit16u fop;
  Bit64u fip, fdp;
  Bit32u mxcsr, mxcsr_mask;
};

enum { FX_ST = 32, FX_XMM = 160 };

// FPU tag word: Bochs's in physical register order, FXSAVE's abridged one too
static Bit8u abridge(Bit16u twd)
{
  Bit8u tags = 0;
  for (unsigned n = 0; n < 8; n++) {
    if (((twd >> (2*n)) & 3) != 3) tags |= 1 << n;
  }
  return tags;
}

static Bit64u components(void)
{
  Bit64u xcr0 = PLEX86_X_X87 | PLEX86_X_SSE;
  if (BX_CPU(0)->cr4.get_OSXSAVE()) xcr0 |= BX_CPU(0)->xcr0.get32();
  return xcr0 & (PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX | PLEX86_X_AVX512);
}

void plex86_export_vec(struct plex86_vec *vec)
{
  const BX_CPU_C *cpu = BX_CPU(0);
  const i387_t *fpu = &cpu->the_i387;
  struct fxsave_head head;

  vec->valid = components();
  vec->pkru = vec->reserved = 0;
  memset(&head, 0, sizeof(head));
  head.fcw = fpu->get_control_word();
  head.fsw = fpu->get_status_word();
  head.ftw = abridge(fpu->get_tag_word());
  head.fop = fpu->foo;
  head.fip = fpu->fip;
  head.fdp = fpu->fdp;
  head.mxcsr = cpu->mxcsr.mxcsr;
  head.mxcsr_mask = cpu->mxcsr_mask;
  memcpy(vec->legacy, &head, sizeof(head));
  for (unsigned n = 0; n < 8; n++) {
    const floatx80 *st = &fpu->st_space[(fpu->tos + n) & 7];
    memset(vec->legacy + FX_ST + 16*n, 0, 16);
    memcpy(vec->legacy + FX_ST + 16*n, &st->signif, 8);
    memcpy(vec->legacy + FX_ST + 16*n + 8, &st->signExp, 2);
  }
  for (unsigned n = 0; n < 16; n++)
    memcpy(vec->legacy + FX_XMM + 16*n, &cpu->vmm[n].vmm64u(0), 16);
  memset(vec->legacy + FX_XMM + 256, 0, sizeof(vec->legacy) - FX_XMM - 256);
  if (vec->valid & PLEX86_X_AVX) {
    for (unsigned n = 0; n < 16; n++)
      memcpy(vec->ymm_hi[n], &cpu->vmm[n].vmm64u(2), 16);
  }
#if BX_SUPPORT_EVEX
  if (vec->valid & PLEX86_X_AVX512) {
    for (unsigned n = 0; n < 8; n++) vec->opmask[n] = cpu->opmask[n].rrx;
    for (unsigned n = 0; n < 16; n++)
      memcpy(vec->zmm_hi256[n], &cpu->vmm[n].vmm64u(4), 32);
    for (unsigned n = 0; n < 16; n++)
      memcpy(vec->hi16_zmm[n], &cpu->vmm[16 + n].vmm64u(0), 64);
  }
#endif
}

// A component that is not valid is in its initial configuration (all zero; x87
// and SSE have their own), as XRSTOR would have it.
static const void *or_zero(const struct plex86_vec *vec, Bit64u component, const void *from)
{
  static const Bit8u zero[64] = { 0 };
  return vec->valid & component ? from : zero;
}

static void import_x87(const struct plex86_vec *vec, i387_t *fpu)
{
  struct fxsave_head head;

  if (! (vec->valid & PLEX86_X_X87)) {
    fpu->init();
    memset(fpu->st_space, 0, sizeof(fpu->st_space));
    return;
  }
  memcpy(&head, vec->legacy, sizeof(head));
  fpu->cwd = head.fcw;
  fpu->swd = head.fsw & ~FPU_SW_Top;
  fpu->tos = (head.fsw >> 11) & 7;
  // Hosts differ in when they keep the pointers (AMD: with a pending exception
  // only); without a new value Bochs's stays.
  if (head.fop | head.fip | head.fdp) {
    fpu->foo = head.fop;
    fpu->fip = head.fip;
    fpu->fdp = head.fdp;
  }
  for (unsigned n = 0; n < 8; n++) {
    floatx80 *st = &fpu->st_space[(fpu->tos + n) & 7];
    memcpy(&st->signif, vec->legacy + FX_ST + 16*n, 8);
    memcpy(&st->signExp, vec->legacy + FX_ST + 16*n + 8, 2);
  }
  fpu->twd = unpack_FPU_TW(fpu, head.ftw);
}

void plex86_import_vec(const struct plex86_vec *vec)
{
  BX_CPU_C *cpu = BX_CPU(0);
  Bit64u have = components();

  import_x87(vec, &cpu->the_i387);
  Bit32u mxcsr = 0x1f80;
  if (vec->valid & (PLEX86_X_SSE | PLEX86_X_AVX)) memcpy(&mxcsr, vec->legacy + 24, 4);
  cpu->mxcsr.mxcsr = mxcsr;
  for (unsigned n = 0; n < 16; n++)
    memcpy(&cpu->vmm[n].vmm64u(0), or_zero(vec, PLEX86_X_SSE, vec->legacy + FX_XMM + 16*n), 16);
  if (have & PLEX86_X_AVX) {
    for (unsigned n = 0; n < 16; n++)
      memcpy(&cpu->vmm[n].vmm64u(2), or_zero(vec, PLEX86_X_AVX, vec->ymm_hi[n]), 16);
  }
#if BX_SUPPORT_EVEX
  if (have & PLEX86_X_AVX512) {
    for (unsigned n = 0; n < 8; n++)
      memcpy(&cpu->opmask[n].rrx, or_zero(vec, PLEX86_X_OPMASK, &vec->opmask[n]), 8);
    for (unsigned n = 0; n < 16; n++)
      memcpy(&cpu->vmm[n].vmm64u(4), or_zero(vec, PLEX86_X_ZMM_HI256, vec->zmm_hi256[n]), 32);
    for (unsigned n = 0; n < 16; n++)
      memcpy(&cpu->vmm[16 + n].vmm64u(0), or_zero(vec, PLEX86_X_HI16_ZMM, vec->hi16_zmm[n]), 64);
  }
#endif
}
