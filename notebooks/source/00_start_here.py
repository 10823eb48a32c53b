# %% [markdown] tags=["title"]
# # 00 · Start here
#
# *Question*: What is style transfer, and how does this course work?
#
# *Time*: 25 minutes to read and try; two minutes of computing on a laptop without a GPU.
#
# In a few minutes a photo of a cat will be repainted in the manner of a woodblock print, on this machine, while you
# watch. No network has been trained to paint; the picture itself is found by gradient descent. You need to know
# what a gradient is. Everything else comes on the way.

# %%
import time

import torch

from nstlib import VGGFeatures, content_loss, resize, transfer
from nstlib.course import check, curve, figures, lesson_table, profile_for, show
from nstlib.course.widgets import slider_over, upload_photo, watch_transfer
from nstlib.data import gallery

profile = profile_for("00_start_here")  # how large the work may be on this machine: pixels, steps, pictures
profile

# %% [markdown]
# ## 1 · Two pictures go in
#
# The **content**: what is to be seen. The **style**: how it is to be painted.

# %%
names = gallery.style_names()
name = "waves" if "waves" in names else names[0]
photo = gallery.content("chelsea", profile.size)
painting = gallery.style(name, profile.size)
show({"content: a photo": photo, f"style: {name}": painting}, width=8)

# %% [markdown]
# Before anything is computed, **make a guess**. You learn more from a wrong guess than from no guess.
#
# Which of these will the computer take over from the painting?
#
# - `"a"` its objects: there will be waves and a sun around the cat
# - `"b"` its colours only, like a filter on a telephone
# - `"c"` its colours and its strokes, but not where they were

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess = ...  # "a", "b" or "c"
guess = "c"
# END SOLUTION

# %% [markdown]
# ## 2 · One picture comes out
#
# This is the whole method, in one call. `keep` is called once a step; it puts a few pictures aside for later.

# %%
moments = {}
keep_at = {1, profile.steps // 8, profile.steps // 4, profile.steps // 2, profile.steps}


def keep(record):
    if record.step in keep_at:
        moments[record.step] = record.image


result = transfer(photo, painting, steps=profile.steps, callback=keep)
print(f"{len(result.records)} steps in {result.seconds:.1f} seconds")

# %%
show({"content": photo, "style": painting, "result": result.image}, width=10.5)

# %% tags=["test"]
assert result.stopped == "finished"
assert result.best.total < 0.5 * result.records[0].total
assert not torch.equal(result.image, photo)

# %%
check.choice(
    "guess",
    guess,
    correct="c",
    explain={
        "a": "look once more: no wave has kept its shape. The painting's objects are gone; something else has come.",
        "b": "more than the colours has changed: follow the whiskers, or the edge of the ear.",
        "c": "The fur is made of the painting's lines and colours, but neither its sun nor its waves are there.",
    },
)

# %% [markdown]
# ## 3 · How it was painted
#
# Nobody drew lines. The computer started from the photo itself and **changed its pixels**, all of them, a little in
# each step. These are the pictures that `keep` put aside. Step 1 is still the photo.

# %%
show(list(moments.values()), [f"step {step}" for step in moments], width=11)

# %% [markdown]
# The same with a slider (the figure above is for those who read this page without a running kernel):

# %%
slider_over(list(moments.values()), [f"step {step}" for step in moments])

# %% [markdown]
# Each step asks one question: *in which direction must every pixel move to make this number smaller?*
#
# $$L \;=\; \alpha\, L_\text{content} \;+\; \beta\, L_\text{style} \;+\; \text{a little smoothness}$$
#
# The three terms of the sum are `record.content_total`, `record.style_total` and `record.tv_total`, and $L$ is
# `record.total`; the line of code is the last one of `nstlib.objective.weighted_terms`.
#
# $L_\text{content}$ says how far the picture is from the photo, $L_\text{style}$ how far from the painting. Neither
# compares pixels: both ask a network that was trained to recognise things (VGG, lessons 01 to 03) what it sees.
# $\alpha$ and $\beta$ are `content_weight` and `style_weight`. Every step leaves a record, so we can draw all three:

# %%
curve(result.records, "the loss, step by step")

# %% [markdown]
# Read the curve slowly; it tells the story of the picture. At first the content loss is zero, for the photo *is* the
# content. Then it **rises**, while the style loss falls a hundredfold: the picture pays a little content for a lot of
# style. (The axis is logarithmic: each line of the grid is ten times the one below.)
#
# And look at the pictures again: after an eighth of the steps the *lines* are there; what still changes then are the
# wide, calm areas of *colour*. A line needs small changes of few pixels, an even background a long way for all of them.

# %% tags=["test"]
first, last = result.records[0], result.records[-1]
assert first.content_total < 1e-2 * first.total
assert last.content_total > first.content_total
assert last.style_total < 0.5 * first.style_total

# %% [markdown]
# **Warm-up.** How many numbers did the computer have to find? Each pixel has three: red, green, blue.
# `photo.shape` is (pictures, colours, height, width).

# %% tags=["exercise"]
# SOLUTION
# STUDENT: unknowns = ...  # your code here
unknowns = photo.shape[1] * photo.shape[2] * photo.shape[3]
# END SOLUTION

# %%
check.number(
    "unknowns",
    unknowns,
    photo.numel(),
    tolerance=0,
    hint=["Print photo.shape and multiply.", "There is one picture; the rest is colours times height times width."],
    why="A network may have millions of weights, but here it is frozen: the unknowns are the pixels.",
)

# %% [markdown]
# ## 4 · Watch it live
#
# Press **Start**; press **Stop** when you like what you see. You get the best picture so far as `live.result.image`.
# The run has a thread of its own, which is why the notebook stays free and Stop works.

# %%
live = watch_transfer(photo, painting, steps=3 * profile.steps)
live

# %% [markdown]
# What it looks like at the end, for those who read without a kernel:

# %%
figures.painting_so_far(result.image, result.records)

# %% [markdown]
# ## 5 · Your turn: how much style?
#
# What matters is the *ratio* of the two weights (the third, for smoothness, stays as it is). We used
# `content_weight=100` and `style_weight=10000`.
#
# **Exercise.** Make a picture that is clearly between the photo and our result: still a photo, but with a touch of
# the painting. Call `transfer` as above, add a `style_weight` of your own, and take the `.image`. Try a few.
#
# *Stuck?* `check.hint("touch of style")` gives one hint, and one more each time you ask.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: touch = ...  # your code here: a picture
touch = transfer(photo, painting, steps=profile.steps, style_weight=50).image
# END SOLUTION


# %%
def change(picture):
    """How far a picture is from the photo, per pixel; 0 is the photo."""
    return (picture - photo).abs().mean().item()


def between(picture):
    if picture.shape != photo.shape:
        return "it has another size than the photo; hand over the same photo."
    share = change(picture) / change(result.image)
    if share > 0.85:
        return f"its pixels moved {share:.0%} of the way; take a smaller style weight."
    return True if share > 0.1 else f"its pixels moved only {share:.0%} of the way; take a larger style weight."


check.picture(
    "touch of style",
    touch,
    test=between,
    hint=["transfer(photo, painting, steps=..., style_weight=...) gives a result.", "Begin with a hundredth of ours."],
    why="You have found the one knob that everybody turns.",
)

# %% [markdown]
# Now all the way up. **Guess first**: with a style weight a hundred times *larger* than ours, what will you see?
#
# - `"a"` the cat is gone, only waves are left
# - `"b"` the cat stays, and little else changes
# - `"c"` the photo again

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_more = ...  # "a", "b" or "c"
guess_more = "b"
# END SOLUTION

# %%
weights = [10, 100, 1_000, 10_000, 1_000_000]
swept = {w: transfer(photo, painting, steps=profile.steps, style_weight=w) for w in weights}
pictures = [photo] + [swept[w].image for w in weights]
titles = ["photo"] + [f"style weight {w:,}" for w in weights]
show(pictures, titles, columns=3, frame=4, caption="framed: the weight that we used above")

# %%
check.choice(
    "a hundred times more",
    guess_more,
    correct="b",
    explain={
        "a": "that is what everybody expects. Find the eyes in the last picture; then read on.",
        "b": "From 10 to 1,000 everything changes, from 10,000 on hardly anything.",
        "c": "that would be a very small style weight; see the first of the row.",
    },
)

# %% tags=["test"]
moved = [change(swept[w].image) for w in weights]
assert moved[0] < 0.6 * moved[3], moved
assert abs(moved[4] - moved[3]) < 0.5 * moved[3], moved

# %% [markdown]
# ### What went wrong, and why
#
# We asked for a hundred times more style and did not get it. Two reasons, and both come back in this course:
#
# 1. **The scale of a loss means nothing.** Once the style term has all the say, more weight only multiplies the whole,
#    and the minimum of $100\,L$ is where the minimum of $L$ is.
# 2. **The start.** We began at the photo. The style loss does not say *where* a line must be, so the nearest good
#    place is along the edges that are there already: the cat's. Begin with noise, and it does vanish (lesson 05).
#
# When a picture does not obey its weight, look at the *parts* of the loss, not at the weight. With a weight of a million
# the content has little left to say, as the bars show. What defends the cat then is mostly the start.

# %%
shares = {f"style weight {w:,}": 100 * swept[w].best.content_total / swept[w].best.total for w in weights[2:]}
figures.bars(shares, "%", title="share of the content term in the loss, at the end")

# %% tags=["test"]
assert shares["style weight 1,000,000"] < 0.5 * shares["style weight 10,000"]

# %% [markdown]
# ## 6 · Your turn: write a loss
#
# The content loss is the simplest formula of the course: the squared distance between what the network sees in the
# picture, $F$, and what it sees in the photo, $P$:
#
# $$L_\text{content} = \sum_{c,\,i,\,j} \left(F_{cij} - P_{cij}\right)^2$$
#
# **Exercise.** Write it for `features` and `target` of shape (N, C, H, W): N pictures, each with C feature maps of
# height H and width W. Give back one number *for each picture*, shape (N,). One line is enough.


# %% tags=["exercise"]
def my_content_loss(features, target):
    # SOLUTION
    return ((features - target) ** 2).sum(dim=(1, 2, 3))
    # END SOLUTION


# %%
check.content_loss(my_content_loss)

# %% [markdown]
# The check ran your function on random numbers and compared values, shapes, batches and gradients with the library's.
# If something is off, it says what; try it: forget the square, or write `.mean()`, and run both cells again.
#
# Does the formula agree with our eyes? Which of three pictures is nearest to the photo, for the network?

# %%
features = VGGFeatures(pooling="avg")
other = resize(gallery.content("coffee"), tuple(photo.shape[2:]))
flat = resize(painting, tuple(photo.shape[2:]))
candidates = {"the painted cat": result.image, "a cup of coffee": other, "the painting": flat}
target = features(photo, ["relu4_2"])["relu4_2"]
distance = {
    label: content_loss(features(picture, ["relu4_2"])["relu4_2"], target, "relative").item()
    for label, picture in candidates.items()
}
figures.bars(distance, title="content loss against the photo of the cat (0: the same)")

# %% tags=["test"]
assert distance["the painted cat"] < distance["a cup of coffee"]
assert distance["the painted cat"] < distance["the painting"]

# %% [markdown]
# The painted cat has hardly a pixel in common with the photo, and still it is the nearest. *That* is why a network
# does the comparing.
#
# ## 7 · Your own photo
#
# Choose one; it stays on the machine that runs this notebook. Faces, buildings and animals work well; so do
# large shapes. Without a photo of yours, an astronaut stands in.

# %%
mine = upload_photo("astronaut")
mine

# %%
own = mine.image(profile.size * 5 // 6)
show({mine.name: own}, width=4)

# %% [markdown]
# Guess which style will suit it best, then run this. It takes about a minute on a laptop.

# %%
chosen = names[: profile.images]
painted = {n: transfer(own, gallery.style(n), steps=profile.steps * 5 // 6) for n in chosen}
show([own] + [painted[n].image for n in chosen], ["photo"] + [n.replace("_", " ") for n in chosen], columns=3, width=9)

# %% tags=["test"]
assert all(r.best.total < 0.6 * r.records[0].total for r in painted.values())

# %% [markdown]
# Some work and some do not, and *your* style is a matter of taste; lesson 07 asks whether a number can judge it. What
# all have in common: flat areas (a wall, the sky) fill with strokes, for the network knows nothing of importance.
# Lesson 08 shows how to paint only a part, and how to keep the colours.
#
# Save one that you like (in Colab and on Binder, find it in the file list on the left):
#
# ```python
# from nstlib import save
# save(painted["waves"].image, "mine.png")
# ```
#
# ## 8 · What the reports found
#
# This course repeats what five student reports did, found or wished for, and looks closely where they disagree.
# A first taste. Report 002 (*Artistic Style Transfer*, table 2) gives 27.03 seconds for 400 steps at 400 x 300 pixels
# on a Tesla K80, a data-centre GPU of 2014. And this machine?

# %%
wide = resize(gallery.content("chelsea"), (300, 400))
steps = 4 if profile.size < 200 else 20
transfer(wide, painting, steps=2)  # the first steps also make ready; they are not timed
begin = time.perf_counter()
transfer(wide, painting, steps=steps)
ours = (time.perf_counter() - begin) / steps * 400
figures.bars({"report 002, Tesla K80": 27.03, "here, now": ours}, "s", title="400 steps at 400 x 300 pixels")

# %% [markdown]
# Can a laptop keep up with a GPU from a data centre? Count before you believe it. In a convolution each output needs
# (channels in) x 3 x 3 multiplications for each channel out, at each position:


# %%
def multiplications(widths, height=300, width=400):
    """Of VGG-19 up to conv5_1, once through; ``widths`` are the channels of its five blocks."""
    total, before = 0, 3
    for block, (channels, layers) in enumerate(zip(widths, (2, 2, 4, 4, 1))):
        for _ in range(layers):
            total += before * 9 * channels * (height >> block) * (width >> block)
            before = channels
    return total


here = [features.channels(f"relu{block}_1") for block in range(1, 6)]
counts = {"VGG-19, as in report 002": (64, 128, 256, 512, 512), f"here: {features.weights_name}": here}
figures.bars({k: multiplications(v) / 1e9 for k, v in counts.items()}, "billion", title="multiplications, once through")

# %%
# a step goes forwards and backwards, and each multiplication has its addition
rate = 2 * 2 * multiplications((64, 128, 256, 512, 512)) * 400 / 27.03 / 1e12
print(f"Report 002: {rate:.1f} trillion operations a second, if its network, too, ended at conv5_1.")

# %% tags=["test"]
assert 40e9 < multiplications((64, 128, 256, 512, 512)) < 50e9
assert 2 < rate < 3

# %% [markdown]
# So both numbers are honest, and they measure different things. The report's network is the full VGG-19; unless you
# run at the profile `gpu`, ours is a thin one that comes with the course and has learned to see as the large one does.
# And the report's figure is credible: one of the two chips of a K80 can do 2.8 to 4.4 trillion such operations a
# second. **Whenever you compare times, compare the work first.** Lesson 12 does it properly, and asks when it pays to
# train a network that needs 0.025 seconds, which is the report's other figure.
#
# ## 9 · How this course works
#
# - **Guess, run, explain.** Every section asks a question and wants your guess before it shows the answer.
# - **Exercises are checked at once**, on your machine. A check says what is wrong, never what is right; `check.hint(...)`
#   helps a little more each time; the folder `solved` has every lesson with everything filled in.
# - **Reports beside results.** Where a report is wrong or unclear, the lesson says so and shows what really happens.
# - **Every figure is computed in front of you**, with a fixed seed, so yours look like ours.
#
# Three scales, set by the environment variable `NST_PROFILE` before Jupyter starts:
#
# | profile | for | extractor | this lesson takes |
# |---|---|---|---|
# | `smoke` | a quick look whether all runs | compact VGG-19, in the package | half a minute |
# | `cpu` (default) | a laptop, Binder, Colab without GPU | compact VGG-19, in the package | one to four minutes |
# | `gpu` | Colab or Kaggle with GPU | the real VGG-19, 575 MB fetched once | a few minutes |
#
# On **Colab** and **Kaggle** the set-up cell fetches the course. **Binder** brings it along, but gives you two slow cores.
# On a **laptop** it needs 1.5 GB of memory and no internet.
#
# The lessons build on each other up to 05; then go where you like:

# %%
lesson_table()

# %% [markdown]
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [Image Style Transfer Using Convolutional Neural Networks](https://openaccess.thecvf.com/content_cvpr_2016/html/Gatys_Image_Style_Transfer_CVPR_2016_paper.html),
#   CVPR 2016. What you have just run. Ten pages, very readable; begin with figure 2.
# - J. Johnson, A. Alahi, L. Fei-Fei: [Perceptual Losses for Real-Time Style Transfer and Super-Resolution](https://arxiv.org/abs/1603.08155),
#   ECCV 2016. The same losses train a network that paints at once (lessons 10 to 12).
# - Y. Jing and others: [Neural Style Transfer: A Review](https://arxiv.org/abs/1705.04058), 2018. The map of the field.
#
# **Next:** lesson 01, VGG anatomy. We have borrowed the eyes of a network all along. What do they see?
