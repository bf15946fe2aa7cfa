dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl
dnl The libraries that this project uses instead of writing them.

dnl PLEX86_LIB(VARIABLE, HEADER, FUNCTION, LIBRARIES, DEBIAN PACKAGE)
AC_DEFUN([PLEX86_LIB], [
AC_CHECK_HEADER([$2], [],
	[AC_MSG_ERROR([no header $2: apt-get install $5, or run ./quickstart setup])])
plex86_save_LIBS=$LIBS
LIBS="$4 $LIBS"
AC_MSG_CHECKING([for $3 in $4])
AC_LINK_IFELSE([AC_LANG_CALL([], [$3])],
	[AC_MSG_RESULT([yes])],
	[AC_MSG_RESULT([no])
	 AC_MSG_ERROR([can't link with $4: apt-get install $5, or run ./quickstart setup])])
LIBS=$plex86_save_LIBS
AC_SUBST([$1], ["$4"])
])

AC_DEFUN([PLEX86_LIBRARIES], [
PLEX86_LIB([JSON_LIBS], [json-c/json.h], [json_object_new_object], [-ljson-c], [libjson-c-dev])
PLEX86_LIB([ZYDIS_LIBS], [Zydis/Zydis.h], [ZydisDecoderInit], [-lZydis], [libzydis-dev])
PLEX86_LIB([LTDL_LIBS], [ltdl.h], [lt_dlinit], [-lltdl], [libltdl-dev])
])
