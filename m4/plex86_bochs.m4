dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl
dnl Which Bochs this build is for.  Bochs installs no headers, and its generated
dnl config.h decides the layout of its classes, so the plugin is always compiled
dnl against one configured Bochs tree: ours (made by tools/build-bochs in the
dnl build folder), or one that the user built with our patches.

AC_DEFUN([PLEX86_WITH_BOCHS], [
AC_ARG_WITH([bochs],
	[AS_HELP_STRING([--with-bochs=DIR|TARBALL],
		[pristine Bochs source, copied and patched in the build folder
		 (default: Debian's source package, by apt)])],
	[], [with_bochs=])
AC_ARG_WITH([bochs-build],
	[AS_HELP_STRING([--with-bochs-build=DIR],
		[a Bochs build folder, already patched and built: use it as it is,
		 and install only the plugin])],
	[], [with_bochs_build=])
AC_ARG_VAR([BOCHS_CXXFLAGS], [flags to compile Bochs with (default: -O3 -g1 -pipe)])
AC_ARG_VAR([BOCHS_CONFIGURE_FLAGS], [further options for the configure script of Bochs])
: ${BOCHS_CXXFLAGS="-O3 -g1 -pipe"}

AS_CASE([$with_bochs], [yes|no],
	[AC_MSG_ERROR([--with-bochs needs a folder or a tarball: --with-bochs=DIR|TARBALL])])
AS_CASE([$with_bochs_build], [yes|no],
	[AC_MSG_ERROR([--with-bochs-build needs a folder: --with-bochs-build=DIR])])
AS_IF([test -n "$with_bochs" && test -n "$with_bochs_build"],
	[AC_MSG_ERROR([--with-bochs and --with-bochs-build exclude each other])])

AC_MSG_CHECKING([for Bochs])
AS_IF([test -n "$with_bochs_build"], [
	BOCHS_OBJ=`cd "$with_bochs_build" 2>/dev/null && pwd`
	BOCHS_VERSION=`$srcdir/tools/bochs-version --built "$with_bochs_build" 2>conftest.err` ||
		{ AC_MSG_RESULT([no]); plex86_err=`cat conftest.err`; AC_MSG_ERROR([$plex86_err]); }
	BOCHS_SRC=`$srcdir/tools/bochs-version --source-of "$BOCHS_OBJ"`
	BOCHS_FROM=$BOCHS_OBJ
	bochs_how="built already, in $BOCHS_OBJ"
], [
	BOCHS_OBJ=`pwd`/bochs/obj
	BOCHS_SRC=`pwd`/bochs/src
	AS_IF([test -n "$with_bochs"], [
		BOCHS_FROM=`realpath -e -- "$with_bochs" 2>/dev/null` ||
			{ AC_MSG_RESULT([no]); AC_MSG_ERROR([--with-bochs=$with_bochs: there is no such folder or file]); }
		BOCHS_VERSION=`$srcdir/tools/bochs-version "$BOCHS_FROM" 2>conftest.err` ||
			{ AC_MSG_RESULT([no]); plex86_err=`cat conftest.err`; AC_MSG_ERROR([$plex86_err]); }
		bochs_how="from $BOCHS_FROM"
	], [
		BOCHS_FROM=
		BOCHS_VERSION=`$srcdir/tools/bochs-version --default`
		bochs_how="from Debian's source package"
	])
])
rm -f conftest.err
AC_MSG_RESULT([$BOCHS_VERSION, $bochs_how])

AM_CONDITIONAL([BUILD_BOCHS], [test -z "$with_bochs_build"])
AC_SUBST([BOCHS_FROM])
AC_SUBST([BOCHS_OBJ])
AC_SUBST([BOCHS_SRC])
AC_SUBST([BOCHS_VERSION])

dnl System includes, so that our warnings aren't applied to Bochs's headers.
BOCHS_CPPFLAGS="-isystem $BOCHS_OBJ -isystem $BOCHS_SRC -isystem $BOCHS_SRC/instrument/stubs"
BOCHS_CPPFLAGS="$BOCHS_CPPFLAGS -D_FILE_OFFSET_BITS=64 -D_LARGE_FILES"
AC_SUBST([BOCHS_CPPFLAGS])
])
