/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs in assembler, as bytes with a beginning and an end that a test copies to
 * where they run.  Who includes it says first how their names begin: #define PREFIX seg_
 */
	.macro	PROGRAM name
	.balign	16
	.globl	PREFIX\name, PREFIX\name\()_end
PREFIX\name:
	.endm

	.macro	PROGRAM_END name
PREFIX\name\()_end:
	.endm

	.macro	MARK name		/* a place in it that a test asks for */
	.globl	PREFIX\name\()_mark
PREFIX\name\()_mark:
	.endm
