dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl
dnl The kernel tree that plex86.ko can be compiled against.  The module is never
dnl built by plain "make": it is for one kernel, and nothing else here needs it.

AC_DEFUN([PLEX86_WITH_LINUX], [
AC_ARG_WITH([linux],
	[AS_HELP_STRING([--with-linux=DIR|no],
		[kernel build folder for "make module" (default: the running kernel's,
		 or the newest one installed)])],
	[], [with_linux=auto])

AC_MSG_CHECKING([for a kernel build folder])
LINUX_BUILD=
linux_why=
AS_CASE([$with_linux],
	[no], [linux_why="switched off by --with-linux=no"],
	[auto|yes], [
		for plex86_dir in "/lib/modules/`uname -r`/build" `ls -d /lib/modules/*/build 2>/dev/null | sort -rV`; do
			AS_IF([test -z "$LINUX_BUILD" && test -e "$plex86_dir/Makefile"],
				[LINUX_BUILD=$plex86_dir])
		done
		AS_IF([test -z "$LINUX_BUILD"],
			[linux_why="no kernel headers (apt-get install linux-headers-amd64)"])
	],
	[
		AS_IF([test -e "$with_linux/Makefile"], [LINUX_BUILD=`cd "$with_linux" && pwd`],
			[AC_MSG_RESULT([no])
			 AC_MSG_ERROR([--with-linux=$with_linux: no kernel build folder (it has no Makefile)])])
	])
AS_IF([test -n "$LINUX_BUILD" && test ! -e "$srcdir/accel-driver/linux/Kbuild"], [
	LINUX_BUILD=
	linux_why="this source has no accel-driver/linux"
])
AS_IF([test -z "$LINUX_BUILD" && test "x$with_linux" = xyes],
	[AC_MSG_RESULT([no])
	 AC_MSG_ERROR([--with-linux: $linux_why])])
AC_MSG_RESULT([${LINUX_BUILD:-no: $linux_why}])
AC_SUBST([LINUX_BUILD])
AC_SUBST([LINUX_WHY], [$linux_why])
])
