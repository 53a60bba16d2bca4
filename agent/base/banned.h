#pragma once
/* Functions that have no safe use here; force-included by the Makefile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat gets strtok
#pragma GCC poison atoi atol atoll atof system popen tmpnam mktemp
