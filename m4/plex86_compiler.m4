dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl
dnl Flags for our own code: the C dialect, the warnings, and the three optional
dnl kinds of instrumentation.  They are kept apart (WARN_, INSTRUMENT_) because
dnl the stub that runs inside a guest's address space takes the warnings but can
dnl live with no instrumentation at all.

AC_DEFUN([PLEX86_COMPILER_FLAGS], [
AC_ARG_ENABLE([werror],
	[AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])],
	[], [enable_werror=no])
AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers],
		[build with the address and undefined-behaviour sanitizers (not the stub)])],
	[], [enable_sanitizers=no])
AC_ARG_ENABLE([coverage],
	[AS_HELP_STRING([--enable-coverage],
		[count executed lines; "make coverage" then writes a report with gcovr])],
	[], [enable_coverage=no])

WARN_CFLAGS="-Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith -Wno-unused-parameter"
WARN_CXXFLAGS="$WARN_CFLAGS"
WARN_CFLAGS="-std=gnu11 $WARN_CFLAGS -Wstrict-prototypes -Wmissing-prototypes"
AS_IF([test "x$enable_werror" = xyes], [
	WARN_CFLAGS="$WARN_CFLAGS -Werror"
	WARN_CXXFLAGS="$WARN_CXXFLAGS -Werror"
])

INSTRUMENT_CFLAGS=
AS_IF([test "x$enable_sanitizers" = xyes], [
	INSTRUMENT_CFLAGS="-fsanitize=address,undefined -fno-omit-frame-pointer"
	dnl Bochs is not instrumented: whoever runs it loads the run-time first.
	SANITIZER_RUNTIME=`$CC -print-file-name=libasan.so`
	dnl libtool links C++ with -nostdlib, which drops them.
	SANITIZER_LIBS="-lasan -lubsan"
])
AS_IF([test "x$enable_coverage" = xyes], [
	INSTRUMENT_CFLAGS="$INSTRUMENT_CFLAGS --coverage -O0"
	AC_CHECK_PROG([GCOVR], [gcovr], [gcovr], [no])
	AS_IF([test "x$GCOVR" = xno],
		[AC_MSG_ERROR([--enable-coverage needs gcovr: apt-get install gcovr])])
])
AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" = xyes])
AC_SUBST([WARN_CFLAGS])
AC_SUBST([WARN_CXXFLAGS])
AC_SUBST([INSTRUMENT_CFLAGS])
AC_SUBST([GCOVR])
AC_SUBST([SANITIZER_RUNTIME])
AC_SUBST([SANITIZER_LIBS])
])

dnl Can 32-bit programs be built and linked?  Only tests need it.
AC_DEFUN([PLEX86_CHECK_M32], [
AC_CACHE_CHECK([whether $CC -m32 links programs], [plex86_cv_m32], [
	plex86_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -m32"
	AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdint.h>]], [[]])],
		[plex86_cv_m32=yes], [plex86_cv_m32=no])
	CFLAGS=$plex86_save_CFLAGS
])
AM_CONDITIONAL([HAVE_M32], [test "x$plex86_cv_m32" = xyes])
AC_SUBST([HAVE_M32], [$plex86_cv_m32])
])
