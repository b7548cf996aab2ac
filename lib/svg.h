/* svg: a timeline as a picture, in a file of its own.
 *
 * Scalable Vector Graphics 1.1 with a style sheet for light and dark; no script, nothing from elsewhere. */
#ifndef DPL_SVG_H
#define DPL_SVG_H

#include "buf.h"
#include "json.h"

/* Add the picture of an answer of /operation/show with all calls, which is as of now_ms. */
void svg_draw(struct buf *b, const struct json *json, int64_t now_ms);

/* Add text as it stands in XML 1.0 between tags or quotes: shown (text_show), escaped, without what XML forbids. */
void svg_text(struct buf *b, const char *p, size_t n);

#endif
