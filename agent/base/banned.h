#pragma once
/* Functions that have no safe use here; force-included by the Makefile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* _FORTIFY_SOURCE makes macros of some; a poisoned macro is a warning. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat gets strtok
#pragma GCC poison atoi atol atoll atof system popen tmpnam mktemp
