/* version: the release, in one place. */
#ifndef DPL_VERSION_H
#define DPL_VERSION_H

#define DPL_VERSION "0.1.0"

#endif
