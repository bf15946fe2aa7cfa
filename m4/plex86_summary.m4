dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl
dnl The last thing that configure prints: what will be built, and why not.

AC_DEFUN([PLEX86_SUMMARY], [
AS_IF([test -n "$LINUX_BUILD"],
	[plex86_module="\"make module\" builds it for $LINUX_BUILD"],
	[plex86_module="module not built: $linux_why"])
AS_IF([test -n "$with_bochs_build"],
	[plex86_bochs_install="not installed (--with-bochs-build)"],
	[plex86_bochs_install="built with $BOCHS_CXXFLAGS, installed with the plugin"])
AS_IF([test "x$plex86_cv_m32" = xyes], [plex86_m32=yes],
	[plex86_m32="no, some tests will be skipped (apt-get install gcc-multilib)"])
cat <<PLEX86_END

  +-- $PACKAGE_NAME $PACKAGE_VERSION
  |
  |  prefix            $prefix
  |  Bochs             $BOCHS_VERSION, $bochs_how
  |                    $plex86_bochs_install
  |  engine process    yes (needs nothing but this user's own rights)
  |  engine driver     yes, used where /dev/plex86 is there
  |                    $plex86_module
  |  32-bit programs   $plex86_m32
  |  instrumentation   werror $enable_werror, sanitizers $enable_sanitizers, coverage $enable_coverage
  +--
PLEX86_END
])
