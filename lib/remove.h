/* remove: delete by descriptor, never through a link or a mount. */
#ifndef DPL_REMOVE_H
#define DPL_REMOVE_H

/* Delete the folder `name` in `dir` and all below it.  Symbolic links are deleted, not followed;
 * what is mounted below is not entered (openat2, RESOLVE_NO_XDEV), and fails with EXDEV.  0, or -1
 * with the errno of the first thing that could not be deleted; ENOENT is success. */
int remove_tree(int dir, const char *name);

#endif
