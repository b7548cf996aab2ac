/* temp: making a file or folder of a name that nobody can guess, as mktemp(1) does.
 *
 *	struct temp t;
 *	temp_begin(&t, template, suffix, tmpdir, &why)
 *	for each try: temp_name(&t); if (!temp_is_there(&t)) …register t.path… temp_make(&t, folder, &id)
 *	temp_end(&t);
 *
 * The folder that it stands in is opened once, by its real path, and everything is done below that descriptor. */
#ifndef DPL_TEMP_H
#define DPL_TEMP_H

#include <stdbool.h>

#include "buf.h"
#include "remove.h"

struct temp {
	int dir;                 /* the folder that it stands in; -1 */
	struct buf path;         /* of what temp_name named last: absolute, without links in its parents */
	size_t name;             /* where its last part begins … */
	size_t random, randoms;  /* … and in it the random characters, and how many they are */
	bool folder;             /* what temp_make made */
	struct remove_identity made;
};

/* Take a template, "build.XXXXXX": its last part ends in at least three X, which random characters replace, and `suffix` goes behind
 * them.  A relative one is taken from the folder `tmpdir`, where that is given, else from the working folder.  NULL: "tmp.XXXXXXXXXX" in
 * `tmpdir`, TMPDIR or /tmp.  0, or -1 with `why`: ERR_USAGE, or ERR_NO_FILE where the folder is not there. */
int temp_begin(struct temp *t, const char *template, const char *suffix, const char *tmpdir, struct why *why);
void temp_end(struct temp *t);

/* A new random name. */
void temp_name(struct temp *t);

/* Whether there is something of that name. */
bool temp_is_there(const struct temp *t);

/* Make it, mode 0600 or for a folder 0700 less the umask.  0 with its identity in t->made, or -1 with errno and nothing made: EEXIST where
 * something is there; ESTALE where it is another thing's already, or its folder is no longer what it was. */
int temp_make(struct temp *t, bool folder);

/* Delete what temp_make made, if it is still that, and empty.  0 where it is not there any more, else -1 with errno. */
int temp_undo(struct temp *t);

#endif
