# %% [markdown] tags=["title"]
# # 00 · Start here
#
# *Question*: What is style transfer, and how does this course work?
#
# *Time*: 35 minutes to read and work; computing: 3 minutes on a slow processor (AVX2), 2 on one with bfloat16.
#
# Style transfer takes two images, a photo and a painting, and computes a third: the scene of the photo in the manner of
# the painting. In this lesson you compute such an image, watch the optimization, and write two of its parts.
#
# You need basic PyTorch: tensors, shapes, and what a gradient is. At the end you can
#
# - explain which numbers style transfer changes, and which loss it lowers;
# - write a gradient-descent step on pixels and the content loss;
# - say what the style weight does, from measurements.

# %%
import time

import torch

from nstlib import VGGFeatures, content_loss, resize, transfer
from nstlib.course import anatomy, check, curve, diagrams, figures, lesson_table, profile_for, show
from nstlib.course.interactive import slide, wipe
from nstlib.course.tasks import lesson_00 as solved
from nstlib.course.widgets import upload_photo, watch_transfer
from nstlib.data import gallery

profile = profile_for("00_start_here")  # how large the work is on this machine: pixels, steps, number of pictures
profile

# %% tags=["test"]
from nstlib.course.claims import lesson_00 as claims
from nstlib.runtime import profile as profile_in_force

scale = profile_in_force()  # "smoke", "cpu" or "gpu"

# %% [markdown]
# ## 1 · Two images in, one image out
#
# The **content image** determines what the result shows. The **style image** determines how it is painted. Both are
# tensors of shape (N, 3, H, W): N images, three colors, height, width; values from 0 to 1.
# The two may differ in size and shape. The result has the size of the content image.

# %%
photo = gallery.content("chelsea", profile.size)  # (1, 3, H, W)
painting = gallery.style("waves", profile.size)  # (1, 3, h, w)
show({"content image: a photo": photo, "style image: a painting": painting})

# %% [markdown]
# **Predict.** What will the result take from the painting?
#
# - `"a"` its objects: there will be waves and a sun around the cat
# - `"b"` its colors only, as a phone filter does
# - `"c"` its colors and its strokes, at other positions than in the painting

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess = ...  # "a", "b" or "c"
guess = "c"
# END SOLUTION

# %% [markdown]
# The library computes a style transfer in one call. The function `keep` is called after every step; it stores some of
# the intermediate images for section 2.

# %%
features = VGGFeatures(pooling="avg")  # the network; made once and used in the whole lesson
moments = {}
keep_at = {1, profile.steps // 8, profile.steps}


def keep(record):
    if record.step in keep_at:
        moments[f"step {record.step}"] = record.image


result = transfer(photo, painting, steps=profile.steps, features=features, callback=keep)
print(f"{len(result.records)} steps in {result.seconds:.1f} seconds")

# %% [markdown]
# Move the slider to compare the photo with the result:

# %%
wipe(photo, result.image, ("photo", "result"), side=400)

# %%
check.choice("taken from the painting", guess)

# %% [markdown]
# ## 2 · The pixels are the unknowns
#
# No network was trained to paint this. The computation started from a copy of the photo and changed its pixels a
# little in each step, so that a loss became smaller. The network in it, VGG-19 (lesson 01), was trained to classify
# photos; its weights stay fixed, and it only serves to compute the loss. The diagram shows the method of Gatys, Ecker and Bethge (2016), the subject of lessons 01 to 06.

# %%
diagrams.method("gatys")

# %% [markdown]
# In training, the unknowns are the weights of a network. Here they are the values of one image.
#
# **Predict.** How many numbers does the optimizer change? The photo is 320 pixels wide and 213 pixels high at the
# profile `cpu` (`photo.shape` has the size here).

# %% tags=["exercise"]
# SOLUTION
# STUDENT: unknowns = ...  # a number
unknowns = 200_000
# END SOLUTION

# %%
check.prediction("number of unknowns", unknowns, result.image.numel(), "values")

# %% [markdown]
# The loss is a weighted sum of three terms:
#
# $$L \;=\; \alpha\, L_\text{content} \;+\; \beta\, L_\text{style} \;+\; \gamma\, L_\text{TV}$$
#
# - $L_\text{content}$ is small when the network's activations, the values that its layers compute, are similar to those
#   for the photo (lesson 02);
# - $L_\text{style}$ is small when the statistics of its activations are similar to those for the painting (lesson 03);
# - $L_\text{TV}$, the total variation, is small when neighboring pixels are similar (lesson 02).
#
# The weights are `content_weight` ($\alpha$ = 100), `style_weight` ($\beta$ = 10,000) and `tv_weight`
# ($\gamma$ = 1,000). The diagram calls the last term the prior.
#
# **Predict.** The run starts from the photo. How does the *content* term change during the run?
#
# - `"a"` it falls, like the total
# - `"b"` it rises
# - `"c"` it stays at 0

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_content = ...  # "a", "b" or "c"
guess_content = "b"
# END SOLUTION

# %%
curve(result.records, "the style term falls, the total with it")

# %%
check.choice("content loss during the run", guess_content)

# %% tags=["test"]
claims.the_content_term_rises_while_the_style_term_falls(result.records, scale)

# %% [markdown]
# The content term is 0 at step 1, because the image *is* the photo then (a logarithmic axis cannot show 0). It rises,
# while the style term falls to less than a hundredth (profile `cpu`). The optimizer accepts a larger content term where
# that lowers the total.

# %%
slide(moments, "image after", side=320)

# %% tags=["test"]
claims.the_first_eighth_of_the_steps_lowers_the_loss_most(result.records, scale)

# %% [markdown]
# The first eighth of the steps lowers the total more than all the other steps together. The dark strokes are there
# by then. The large areas, such as the background, get their colors later.
#
# ## 3 · Your turn: move pixels by gradient descent
#
# `transfer` uses a network and an optimizer with many settings. The principle fits into a few lines when the loss is
# simple. Let $x$ be an image and $t$ a target image. The loss is the sum of all squared pixel differences:
#
# $$L(x) = \sum_{n,\,c,\,i,\,j} \left(x_{ncij} - t_{ncij}\right)^2$$
#
# One step of gradient descent replaces $x$ by $x - \eta\, \nabla L(x)$, where $\eta$ is the learning rate.
#
# **Exercise.** Derive the gradient on paper and write the loop, without an optimizer from `torch.optim`. Do not clamp,
# and do not change `picture` itself. `check.hint("move_pixels")` gives a hint, and a further one each time you ask.


# %% tags=["exercise"]
def move_pixels(picture, target, rate, steps):
    """Return the picture (N, 3, H, W) after some steps towards target (N, 3, H, W)."""
    # SOLUTION
    x = picture
    for _ in range(steps):
        gradient = 2 * (x - target)  # (N, 3, H, W), one value for each pixel and color
        x = x - rate * gradient
    return x
    # END SOLUTION


# %%
moves = check.function("move_pixels", move_pixels)
moves

# %% [markdown]
# **Predict.** Your loop moves the photo towards the painting. What do the images on the way look like?
#
# - `"a"` the photo with more and more strokes
# - `"b"` a cross-fade: both images, one transparent over the other
# - `"c"` noise first, then the painting

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_path = ...  # "a", "b" or "c"
guess_path = "b"
# END SOLUTION

# %%
move = move_pixels if moves.ok else solved.moved_pixels  # the course's function, until yours is right
target = resize(painting, tuple(photo.shape[2:]))  # at the photo's size
path = {f"{steps} steps": move(photo, target, 0.02, steps) for steps in (0, 10, 20, 40, 80)}
slide(path, "pixel loss", side=320)

# %%
check.choice("path of the pixels", guess_path)

# %% tags=["test"]
claims.the_pixel_loss_makes_a_cross_fade(path, photo, target, rate=0.02)

# %% [markdown]
# With rate $\eta$, each step multiplies the difference to the target by $1 - 2\eta$, for every pixel separately. After
# $k$ steps the image is $t + (1 - 2\eta)^k (x_0 - t)$: a cross-fade, exactly. The optimization works, and the result
# is not a style transfer. What makes the difference is the loss. It must not compare pixels at equal positions.
#
# ## 4 · Your turn: the content loss
#
# The content loss compares activations. A layer of the network turns an image into C feature maps, grids of H x W
# activations: $F$ for the image that is being optimized, $P$ for the photo. Both have the shape (N, C, H, W), for N images.
#
# $$L_\text{content} = \sum_{c,\,i,\,j} \left(F_{cij} - P_{cij}\right)^2$$
#
# **Exercise.** Write it. Return one number *for each image* of the batch, shape (N,). The check calls your function on
# random inputs and compares values, shapes, batches and gradients with a reference.


# %% tags=["exercise"]
def my_content_loss(features, target):
    """Return the content loss (N,) of two tensors of activations (N, C, H, W)."""
    # SOLUTION
    return ((features - target) ** 2).sum(dim=(1, 2, 3))
    # END SOLUTION


# %%
check.content_loss(my_content_loss)

# %% [markdown]
# ## 5 · Why not compare pixels?
#
# The formula is the same as in section 3; only its inputs differ. Is it worth running a network for that? A fair
# comparison needs images that were made without the network. We change the photo in five ways and add another photo:

# %%
cat = gallery.content("chelsea", 320)  # the same size at every profile
size = tuple(cat.shape[2:])
candidates = {
    "shifted": cat.roll(4, dims=3),  # 4 pixels to the right; what leaves the image comes in on the left
    "one color": cat.mean(dim=(2, 3), keepdim=True).expand_as(cat),
    "brighter": (cat + 0.15).clamp(0, 1),
    "coffee": resize(gallery.content("coffee"), size),
    "blurred": resize(resize(cat, 20), size),  # reduced to a width of 20 pixels and enlarged again
    "mirrored": cat.flip(3),
}
slide({"photo": cat} | candidates, "picture", side=320)

# %% [markdown]
# **Predict.** Which of the six is nearest to the photo by the mean squared difference of the pixels? Which one by the
# content loss in layer `relu4_2`, the layer that `transfer` uses? Answer with two of the titles.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: nearest_pixels = ...  # a title, such as "coffee"
# STUDENT: nearest_layer = ...
nearest_pixels = "blurred"
nearest_layer = "brighter"
# END SOLUTION

# %%
LAYER = "relu4_2"


def pixel_distance(picture, photo):
    """Mean squared difference of the pixels."""
    return (picture - photo).square().mean().item()


def layer_distance(picture, photo):
    """Content loss divided by the photo's own sum of squares: 1 is the distance of activations that are all zero."""
    activations = features(torch.cat([picture, photo]), LAYER)[LAYER]  # (2, C, H, W)
    return content_loss(activations[:1], activations[1:], "relative").item()


pixel_distances = {name: pixel_distance(picture, cat) for name, picture in candidates.items()}
layer_distances = {name: layer_distance(picture, cat) for name, picture in candidates.items()}

# %%
nearest = min(pixel_distances, key=pixel_distances.get)
figures.bars(pixel_distances, title="mean squared pixel difference from the photo", highlight=nearest)

# %%
nearest = min(layer_distances, key=layer_distances.get)
figures.bars(layer_distances, title="content loss in relu4_2; 1: activations that are all zero", highlight=nearest)

# %%
check.choice("nearest by pixels", nearest_pixels)

# %%
check.choice("nearest by relu4_2", nearest_layer)

# %% tags=["test"]
claims.pixels_prefer_blur_and_one_color_to_a_brighter_photo(pixel_distances)
claims.the_layer_prefers_a_brighter_or_shifted_photo_to_blur(layer_distances)
claims.both_measures_put_the_other_photo_last(pixel_distances, layer_distances)
claims.the_layer_puts_the_mirrored_photo_behind_one_color(layer_distances)

# %% [markdown]
# By pixels, the blurred photo is nearest. Even a single color, with no cat at all, is nearer than the brighter photo. In
# `relu4_2` the order is different: the brighter and the shifted photo are near; the blurred photo and the single color,
# which lack the details, are far.
#
# Two limits of this result:
#
# - Both measures put the other photo last. To tell a cat from a cup, pixels suffice.
# - The layer tolerates *small* shifts only. The mirrored cat, which we recognize at once, is farther away in `relu4_2`
#   than the single color. The content loss still compares position by position, on a coarser grid.
#
# Is that a property of this one photo? The same two distances for the course's four photos:

# %%
rows = []
for name in gallery.content_names():
    original = gallery.content(name, 320)
    shifted, blurred = original.roll(4, dims=3), resize(resize(original, 20), tuple(original.shape[2:]))
    pixels = [pixel_distance(picture, original) for picture in (shifted, blurred)]
    rows.append([name, *pixels, *(layer_distance(picture, original) for picture in (shifted, blurred))])
header = ["photo", "pixels: shifted", "pixels: blurred", "relu4_2: shifted", "relu4_2: blurred"]
anatomy.Table(header, [[name, *(f"{value:.3f}" for value in values)] for name, *values in rows])

# %% tags=["test"]
claims.on_every_photo_pixels_prefer_blur_and_the_layer_the_shift(rows)
photos = {name: gallery.content(name, 320) for name in gallery.content_names()}
claims.one_color_is_nearer_than_the_brighter_photo_for_two_photos_only(photos)

# %% [markdown]
# On all four photos the pixel distance prefers the blurred photo to a shift by four pixels, and `relu4_2` prefers the
# shifted one. The result for the single color is not as general: the astronaut and the coffee have more contrast, and
# there the single color is farther than the brighter photo by pixels, too.
#
# ## 6 · How much style?
#
# Only the ratios of the three weights matter for the position of the minimum. We keep `content_weight` and `tv_weight`
# and change `style_weight`, which was 10,000 so far.
#
# **Predict.** With a style weight a hundred times *larger*, 1,000,000, and the same start and number of steps:
#
# - `"a"` nothing of the cat remains
# - `"b"` the image looks as before, because the style term dominated already
# - `"c"` the details of the cat disappear, its outline remains

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_more = ...  # "a", "b" or "c"
guess_more = "c"
# END SOLUTION

# %%
swept = {10_000: result}
for weight in (10, 100, 1_000, 100_000, 1_000_000):
    swept[weight] = transfer(photo, painting, steps=profile.steps, style_weight=weight, features=features)
swept = dict(sorted(swept.items()))
slide({"photo": photo} | {f"{weight:,}": run.image for weight, run in swept.items()}, "style weight", side=360)

# %%
check.choice("a hundred times more style", guess_more)

# %% [markdown]
# What do the numbers say? First the distance between images, as the mean absolute difference of their pixels:

# %%
weights = list(swept)
from_photo = {f"{w:,}": (swept[w].image - photo).abs().mean().item() for w in weights[1:]}
from_previous = {
    f"{w:,}": (swept[w].image - swept[before].image).abs().mean().item() for before, w in zip(weights, weights[1:])
}
changes = {"from the photo": from_photo, "from the image with a tenth of the weight": from_previous}
anatomy.lines(changes, "the image keeps changing", "mean pixel change (0 to 1)", xlabel="style weight")

# %% tags=["test"]
claims.the_distance_from_the_photo_levels_off_but_the_image_keeps_changing(from_photo, from_previous, scale)

# %% [markdown]
# From 1,000 on, the distance *from the photo* grows by less than a fifth. Yet the image does not stay the same: from each
# weight to the next, the pixels change by 0.10 to 0.16 (profile `cpu`), at 10,000 nearly as much as from 10 to 100. Two
# images can be equally far from the photo and still differ.
#
# Second, the two losses at the end of each run, without their weights:

# %%
losses = {
    "content loss": {f"{w:,}": run.best.content_total / 100 for w, run in swept.items()},
    "style loss": {f"{w:,}": run.best.style_total / w for w, run in swept.items()},
}
anatomy.lines(losses, "more style weight: less style loss, more content loss", "loss, unweighted", True, "style weight")

# %%
shares = {f"style weight {w:,}": 100 * run.best.content_total / run.best.total for w, run in swept.items()}
figures.bars(shares, "%", title="share of the content term in the total, at the end of the run")

# %% tags=["test"]
claims.more_style_weight_trades_content_for_style(losses, scale)
claims.the_content_share_is_largest_in_the_middle(shares, scale)

# %% [markdown]
# A larger style weight lowers the style loss and raises the content loss, over the whole range. The *share* of the
# content term does not measure how much of the photo is left: it is small at both ends. At weight 10 the content loss
# itself is small; at 1,000,000 the style term is much larger. At 10,000, the weight of section 1, the content term is
# about half of the total (profile `cpu`), so the style term does not dominate there.
#
# Why does the outline remain at 1,000,000? One candidate is the start: the run begins with the photo, and the
# optimizer may find arrangements of strokes that follow the existing edges. A control run tests that: same weights, but
# the first image is noise.

# %%
from_noise = transfer(
    photo, painting, steps=profile.steps, style_weight=1_000_000, init="noise", seed=0, features=features
)
slide({"the photo": swept[1_000_000].image, "noise": from_noise.image}, "style weight 1,000,000, start", side=360)

# %% tags=["test"]
claims.from_noise_less_of_the_photo_is_left(swept[1_000_000].best, from_noise.best)

# %% [markdown]
# From noise there is no cat, and the content loss is larger. For this pair of images, the outline comes from the start.
# Lesson 05 compares more starts. When an image does not react to a weight as you expect, look at each term and at the
# start.
#
# ## 7 · Your own photo, live
#
# Choose a photo; it stays on the machine that runs this notebook. Without one, an astronaut is used.

# %%
mine = upload_photo("astronaut")
mine

# %% [markdown]
# Press **Start**, and **Stop** when you like the image. `live.result.image` is then the best image so far. The controls
# change the weights, the layers and the size, and take a style picture of your own. Change the style weight first: which
# value keeps most of your photo and still adds some of the painting?

# %%
own = mine.image(profile.size)
live = watch_transfer(own, gallery.style("stained_glass"), steps=2 * profile.steps)
live

# %% [markdown]
# The same photo in several styles:

# %%
chosen = gallery.style_names()[: profile.images]
painted = {
    name.replace("_", " "): transfer(own, gallery.style(name), steps=profile.steps, features=features).image
    for name in chosen
}
slide(painted, "style", side=320)

# %% [markdown]
# The strokes cover the face and the background alike: neither loss distinguishes one from the other. Lesson 08 limits
# the style to a part of the image and keeps the photo's colors; lesson 07 asks whether a number can rate the results.
#
# To save one: `from nstlib import save`, then `save(painted["cubist"], "mine.png")`. On Colab and Binder the file
# appears in the file list on the left.
#
# ## 8 · What the reports found: how long does it take?
#
# The course repeats what five student reports did, and looks closely where they disagree. Report 002 (table 2) gives
# 27.03 seconds for 400 steps at 400 x 300 pixels on a Tesla K80, a data-center GPU of 2014.
#
# **Predict.** How many seconds do 400 such steps take on this machine?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_seconds = ...  # seconds
guess_seconds = 120
# END SOLUTION

# %%
wide, steps = resize(gallery.content("chelsea"), (300, 400)), 4 if profile.size < 200 else 20
transfer(wide, painting, steps=2, features=features)  # warm-up, not timed
begin = time.perf_counter()
transfer(wide, painting, steps=steps, features=features)
seconds = (time.perf_counter() - begin) / steps * 400
check.prediction("seconds for 400 steps", guess_seconds, seconds, "seconds")

# %% [markdown]
# On two idle cores we measured 31 seconds with bfloat16 and 37 seconds with AVX2 only (profile `cpu`); other programs on
# the same cores make it longer. Is a laptop as fast as the K80? Compare the work first. VGG-19 up to `conv5_1` needs this
# many multiplications for one forward pass (each output value uses 3 x 3 values of every input channel):


# %%
def multiplications(channels, height=300, width=400):
    """Return the multiplications of the convolutions conv1_1 to conv5_1; ``channels`` are those of the five blocks."""
    total, before = 0, 3
    for block, (after, layers) in enumerate(zip(channels, (2, 2, 4, 4, 1))):
        for _ in range(layers):
            total += 9 * before * after * (height >> block) * (width >> block)
            before = after
    return total


here = [features.channels(f"relu{block}_1") for block in range(1, 6)]
networks = {"VGG-19": (64, 128, 256, 512, 512), f"here: {features.weights_name} VGG-19": here}
work = {name: multiplications(channels) / 1e9 for name, channels in networks.items()}
figures.bars(work, "billion", title="multiplications of one forward pass at 400 x 300 pixels")

# %% tags=["test"]
claims.the_compact_network_does_a_fraction_of_the_work(work, scale)

# %% [markdown]
# Unless the profile is `gpu`, the network here is a compact one with fewer channels. If the report's network is the full
# VGG-19 up to `conv5_1`, each of its steps takes 13 times as many multiplications as ours. The two times say nothing
# about which machine is faster. **Before you compare times, compare the work.** Lesson 12 does so.
#
# About the compact network: up to `conv3_4` it was trained to reproduce the activations of the real VGG-19. Its deeper
# layers never saw the real ones; they were trained to classify small pictures of 202 classes. `relu4_2`, the content
# layer of this lesson, is one of these. What you measured in section 5 therefore holds for this network.
#
# ## 9 · How this course works
#
# - **Predict, run, compare.** The lessons ask for a prediction before a result is computed. A wrong choice can be changed;
#   a number is only recorded beside the measured one.
# - **Checks** test your code at once, on your machine. They say what is wrong, not what is right. `check.hint("name")`
#   gives hints, from vague to concrete.
# - **Two copies.** Each lesson exists as a student copy without outputs and, in the folder `solved`, as an executed
#   copy with answers.
# - **Reports.** Where a report is wrong or unclear, the lesson says so and shows what was measured.
# - **Seeds** are fixed, so your figures look like ours (small differences between processors are normal).
# - **Sizes.** Sentences about a result hold for the profile `cpu` (below). In `smoke` the pictures are too small to judge.
# - **Times.** The minutes in the first cell of a lesson count 200 words and 15 lines of code a minute, and 3 minutes for
#   ten lines that you write. In a second language, plan up to twice as long.
#
# Three profiles set the size of the work. Set the environment variable `NST_PROFILE` before you start Jupyter:
#
# | profile | for | network |
# |---|---|---|
# | `smoke` | a quick test that everything runs, in seconds | compact VGG-19, part of the package |
# | `cpu` (default) | a laptop, Binder, Colab without GPU; 1.6 GB of memory | compact VGG-19, part of the package |
# | `gpu` | Colab or Kaggle with a GPU | the real VGG-19, 575 MB, downloaded once |
#
# Lessons 01 to 05 build on each other. After that, choose freely:

# %%
lesson_table()

# %% [markdown]
# ## What you can do now
#
# - You can name the unknowns of style transfer (pixels) and the three terms of its loss.
# - You can write gradient descent on pixels and the content loss, for batches.
# - You can explain with measurements what the style weight changes, and why the start matters.
#
# ## Three questions
#
# 1. In section 3, what happens with the learning rates 0.5, 1 and 1.1? Work it out from $(1 - 2\eta)^k$, then try it.
# 2. The content term starts at 0 and rises. Why is that no sign of a bug?
# 3. A colleague writes: "From a style weight of 1,000 on, the mean distance from the photo hardly grows, so the image
#    hardly changes." What is wrong, and what would you measure?

# %% [markdown] tags=["solution-only"]
# **Model answers**
#
# 1. With 0.5 the factor is 0: the target is reached in one step. With 1 it is −1: the image jumps between $x_0$ and its
#    reflection in the target, $2t - x_0$, forever. With 1.1 it is −1.2: the distance grows by 20 % in each step, and the
#    run diverges.
# 2. The run starts from the photo, where the content loss has its smallest possible value. The optimizer lowers the
#    *total*, and any change that lowers the style term moves the image away from the photo.
# 3. Two images can have the same distance from the photo and be far from each other. Measure the distance between the
#    images themselves; here it is 0.10 to 0.14 from each weight to the next. Then look at the images and at each term.

# %% [markdown]
# ## A project
#
# Choose one photo and three styles. For each style, find the smallest style weight at which you would call the result a
# painting, and let three people judge the same images without the weights. Is it the same weight for all three styles?
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | measurement | one weight for each style | several weights, in equal ratios | also a second photo |
# | judgment | your own only | three people | three people, random order, no weights shown |
# | conclusion | images without a statement | a statement | a statement with its condition and a counterexample |
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Image Style Transfer Using Convolutional Neural Networks](https://openaccess.thecvf.com/content_cvpr_2016/html/Gatys_Image_Style_Transfer_CVPR_2016_paper.html),
#   CVPR 2016. The method of this lesson, in ten pages; begin with figure 2.
# - J. Johnson, A. Alahi, L. Fei-Fei: [Perceptual Losses for Real-Time Style Transfer and Super-Resolution](https://arxiv.org/abs/1603.08155),
#   ECCV 2016. The same losses train a network that needs a single forward pass (lessons 10 to 12).
# - Y. Jing and others: [Neural Style Transfer: A Review](https://arxiv.org/abs/1705.04058), 2018. A survey of the field.
#
# **Next:** [01 · VGG anatomy](01_vgg_anatomy.ipynb). What do the layers of the network respond to?
