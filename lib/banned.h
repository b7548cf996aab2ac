/* banned: functions that nobody here may call, made errors by the compiler.  The Makefile includes this
 * into every file.  Numbers go through num.h; texts through snprintf, memcpy or buf.h. */
#ifndef DPL_BANNED_H
#define DPL_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison atoi atol atoll atof strcpy strcat strncpy strncat sprintf vsprintf strtok gets

#endif
