# %% [markdown] tags=["title"]
# # 05 · Gatys' transfer
#
# *Question*: How do content and style become one picture?
#
# *Time*: 70 minutes to read and work; computing: 4 minutes on a slow processor (AVX2), 4 on one with bfloat16.
#
# You need lessons 01 to 04: layers of VGG, the content loss, the Gram matrix, and a loop that moves pixels. In this
# lesson you
#
# - write the whole method of Gatys, Ecker and Bethge in your own cells, from the features to the best picture,
# - compare your losses with the library's, digit by digit, and explain where they part,
# - measure what the weights, the start, the optimizer, the layers and the picture sizes change.

# %%
import math
from functools import partial
from statistics import median

import torch
from torch import nn

from nstlib import (
    Objective,
    VGGFeatures,
    content_loss,
    get_preset,
    gram_matrix,
    reconstruct,
    resize,
    style_loss,
    synthesize,
    texture,
    total_variation,
    transfer,
)
from nstlib.course import anatomy, check, curve, diagrams, figures, profile_for, show
from nstlib.course.anatomy import Table
from nstlib.course.interactive import slide, wipe
from nstlib.course.tasks import lesson_05 as ready
from nstlib.course.widgets import upload_photo, watch_transfer
from nstlib.data import gallery
from nstlib.runtime import pick_device

profile = profile_for("05_gatys_transfer")
features = VGGFeatures(pooling="avg", device=pick_device())  # one network for most of the lesson
STYLE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
profile

# %% tags=["test"]
from nstlib.course import lessons
from nstlib.course.claims import lesson_05 as claims

scale = next(name for name, row in lessons.PROFILES_BY_LESSON["05_gatys_transfer"].items() if row == profile)

# %% [markdown]
# ## 1 · Two losses, one picture
#
# Lesson 02 reconstructed a photo from one layer, lesson 04 painted a texture from Gram matrices. Gatys' method
# minimizes both losses over the same pixels. All three pictures pass through the same network, and only the pixels of
# $x$ change:

# %%
diagrams.method("gatys")

# %% [markdown]
# With the weights $\alpha$ for the content and $\beta$ for the style, the loss is
#
# $$L(x) = \alpha\, L_\text{content}(x) + \beta\, L_\text{style}(x)$$
#
# (The diagram has a third term with the weight $\gamma$, which smooths the picture. It is in all pictures of this
# section and is the subject of section 3.)
#
# From the same noise we paint three pictures: with the content loss alone, with the style loss alone, and with both
# ($\alpha = 2000$, $\beta = 10\,000$; section 6 explores these numbers). Here are the photo and the painting.

# %%
photo = gallery.content("astronaut", profile.size)
painting = gallery.style("stained_glass", profile.size)
slide({"the photo": photo, "the painting": painting}, "what we start from", side=320)

# %% [markdown]
# **Predict.** How large are the two losses of the third picture at the end?
#
# - `"a"` each as small as in the picture that had this loss alone
# - `"b"` the style loss as small as alone, the content loss larger
# - `"c"` both larger than alone

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess = ...  # "a", "b" or "c"
guess = "c"
# END SOLUTION

# %%
moments = {}
keep_at = [1, 3, 6, 12, 25, 50]


def keep(record):
    """Keep the picture of some evaluations."""
    if record.step in keep_at or record.step == profile.steps:
        moments[record.step] = record.image


options = {"features": features, "init": "noise", "steps": profile.steps}
alone = {
    "content loss alone": reconstruct(photo, "relu4_2", content_weight=2_000, **options),
    "style loss alone": texture(painting, tuple(photo.shape[2:]), **options),
    "both losses": transfer(photo, painting, content_weight=2_000, callback=keep, **options),
}
show({name: result.image for name, result in alone.items()}, columns=3)

# %% [markdown]
# We measure all three with the same two losses, without their weights. Both are relative, as in lessons 02 and 03: 0 is
# a perfect match, and 1 is the loss of activations (or of a Gram matrix) that are all zero. Two names of the library:
# a *preset* holds all settings of a method (layers, weights, pooling), and an `Objective` computes the losses for one
# photo and one painting.

# %%
ours = get_preset("course")  # the settings of this course


def meter(content, style):
    """Return a function that measures the content loss and the style loss of a picture, without weights."""
    objective = Objective(ours, features, content.to(features.device), style.to(features.device))

    def losses(picture):
        with torch.no_grad():
            terms = objective.terms(picture.to(features.device))
        return sum(terms.content.values()).item(), sum(terms.style.values()).item() / len(STYLE)

    return losses


losses = meter(photo, painting)
measured = {name: losses(result.image) for name, result in alone.items()}
Table(["painted with", "content loss", "style loss"], [[n, f"{c:.4f}", f"{s:.4f}"] for n, (c, s) in measured.items()])

# %%
check.choice("two losses from one start", guess)

# %% tags=["test"]
claims.both_losses_cost_something(measured)

# %% [markdown]
# The picture with both losses has a larger content loss than the first picture and a larger style loss than the second.
# It is a compromise, and a useful one: the content loss asks for an edge at the outline of the astronaut, the style
# loss asks for dark lines at some place or other, and a dark line along the outline lowers both.

# %%
wipe(photo, alone["both losses"].image, ("photo", "both losses"), side=384)

# %% [markdown]
# ## 2 · Features and losses, written by you
#
# You now write the method from the bottom up: features, content loss, Gram matrix, style loss, total, loop. Until a
# function of yours passes its check, the cells that need it use ours, so that you can read on at any time.
#
# The network is a plain `nn.Sequential` with named modules: `conv1_1`, `relu1_1`, ... up to `relu5_1`. It computes in
# float32, because we compare digits later.

# %%
exact = VGGFeatures(pooling="avg", precision="float32", device=pick_device())


class Normalize(nn.Module):
    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset  # from ImageNet's mean and standard deviation

    def forward(self, x):
        return x * self.scale - self.offset


def plain_network(extractor):
    """The layers of an extractor up to relu5_1, as a sequence of named modules."""
    network = nn.Sequential()
    network.add_module("normalize", Normalize(extractor.input_scale, extractor.input_offset))
    for name in extractor.names[: extractor.names.index("relu5_1") + 1]:
        other = nn.ReLU() if name.startswith("relu") else nn.AvgPool2d(2)
        network.add_module(name, extractor.convs[name] if name.startswith("conv") else other)
    return network


# %%
network = plain_network(exact)
print([name for name, _ in network.named_children()])

# %% [markdown]
# **Exercise.** Write `my_features`: it passes `x` (N, 3, H, W) through the network and returns a dictionary from each
# name in `layers` to the output (N, C, h, w) of that module. Gradients must reach `x`.


# %% tags=["exercise"]
def my_features(network, x, layers):
    # SOLUTION
    found = {}
    for name, module in network.named_children():
        x = module(x)  # (N, C, h, w)
        if name in layers:
            found[name] = x
    return found
    # END SOLUTION


# %%
check.function("read the layers", my_features)

# %% [markdown]
# **Exercise.** The content loss compares activations $F$ of the picture with activations $P$ of the photo. Write it in
# its relative form, for `features` and `target` of shape (N, C, H, W). The result has one number per picture, shape
# (N,).
#
# $$L_\text{content} = \frac{\sum_{c,i,j} (F_{cij} - P_{cij})^2}{\sum_{c,i,j} P_{cij}^2}$$


# %% tags=["exercise"]
def my_content_loss(features, target):
    # SOLUTION
    return ((features - target) ** 2).sum((1, 2, 3)) / (target**2).sum((1, 2, 3))  # (N,)
    # END SOLUTION


# %%
check.content_loss(my_content_loss, "relative")

# %% [markdown]
# **Exercise.** The Gram matrix $G$ holds the mean product of every two feature maps over all $M = H \cdot W$ positions
# $k$. The style loss of a layer is the relative distance of $G$ from the painting's matrix $A$. Write both: features
# (N, C, H, W), matrices (N, C, C), loss (N,).
#
# $$G_{ij} = \frac{1}{M} \sum_{k} F_{ik} F_{jk} \qquad E = \frac{\sum_{ij} (G_{ij} - A_{ij})^2}{\sum_{ij} A_{ij}^2}$$


# %% tags=["exercise"]
def my_gram_matrix(features):
    # SOLUTION
    rows = features.flatten(2)  # (N, C, M)
    return rows @ rows.transpose(1, 2) / rows.shape[2]  # (N, C, C)
    # END SOLUTION


def my_style_loss(gram, target):
    # SOLUTION
    return ((gram - target) ** 2).sum((1, 2)) / (target**2).sum((1, 2))  # (N,)
    # END SOLUTION


# %%
check.gram_matrix(my_gram_matrix)

# %%
check.style_loss(my_style_loss, "relative")

# %% [markdown]
# ## 3 · The total loss
#
# Two terms are Gatys' loss. Most programs add a third, the total variation of lesson 02, with a weight $\gamma$. What
# does it change? The picture with both losses once more, with $\gamma = 0$; our preset has $\gamma = 1000$.
#
# **Predict.** By what factor is the total variation larger without the third term?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_rough = ...  # a number, such as 1.1 or 10
guess_rough = 3.0
# END SOLUTION

# %%
rough = transfer(photo, painting, content_weight=2_000, tv_weight=0, **options).image
left, top, side = (round(profile.size * share) for share in (0.3, 0.05, 0.36))
parts = [
    picture[:, :, top : top + side, left : left + side] for picture in (rough, alone["both losses"].image)
]  # the face, enlarged
wipe(*parts, ("without its term: speckles", "with it: calm areas"), side=384)

# %%
variation = [total_variation(picture).item() for picture in (rough, alone["both losses"].image)]
check.prediction("total variation without its term", guess_rough, variation[0] / variation[1], "times")

# %% tags=["test"]
claims.without_its_term_the_variation_is_larger(variation)

# %% [markdown]
# Without the term, single pixels alternate in areas that should be calm. The averaging of the pooling layers hides such
# patterns from the deeper layers (lesson 02).
#
# **Exercise.** Write the total loss. `read(x, layers)` is an argument: a function that returns activations by layer, as
# your `my_features` does.
# `content` maps each content layer to its target activations, `grams` maps each style layer to its target Gram matrix.
# The content term is the mean over the content layers, the style term the mean over the style layers:
#
# $$L = \alpha\, \overline{L_\text{content}} + \beta\, \overline{E} + \gamma\, TV(x)$$
#
# Use `content_term`, `gram`, `style_term` (your functions from above) and `total_variation`. The result is (N,).


# %%
def passed(name):
    """Whether the check of an exercise has accepted your code. After a change, run this cell again."""
    return name in check.verdicts and check.verdicts[name].ok


content_term = my_content_loss if passed("content_loss") else partial(content_loss, reduction="relative")
style_term = my_style_loss if passed("style_loss") else partial(style_loss, reduction="relative")
gram = my_gram_matrix if passed("gram_matrix") else gram_matrix
read_network = my_features if passed("read the layers") else ready.read_layers


# %% tags=["exercise"]
def my_total(read, x, content, grams, alpha, beta, gamma):
    # SOLUTION
    maps = read(x, [*content, *grams])  # {layer: (N, C, h, w)}
    contents = [content_term(maps[name], target) for name, target in content.items()]
    styles = [style_term(gram(maps[name]), target) for name, target in grams.items()]
    content_loss, style_loss = sum(contents) / len(contents), sum(styles) / len(styles)  # (N,) each
    return alpha * content_loss + beta * style_loss + gamma * total_variation(x)
    # END SOLUTION


# %%
check.function("the total loss", my_total)

# %% [markdown]
# ## 4 · The loop
#
# Gatys minimized with L-BFGS. It estimates the curvature of the loss from its last steps and needs no learning rate to
# be tuned (section 8 compares it with others). PyTorch's version calls a function, the *closure*, whenever it needs the
# loss and the gradient at the present pixels. With `max_iter=1` one `step` calls the closure once.
#
# **Exercise.** Complete `my_transfer`. `total` takes a picture (1, 3, H, W) and returns its loss, shape (1,).
#
# 1. The closure removes the old gradient, computes the loss, calls `backward`, appends the loss as a plain number to
#    `losses`, and returns the loss.
# 2. If the loss is the smallest so far, `best` becomes a copy of the picture that has this loss.
# 3. After each step, the pixels are clamped to [0, 1] in place, without gradient.
#
# The closure assigns `best`, a variable of the function around it: Python needs a `nonlocal` statement for that.


# %% tags=["exercise"]
def my_transfer(total, start, steps):
    x = start.clone().requires_grad_()  # (1, 3, H, W)
    lbfgs = torch.optim.LBFGS([x], max_iter=1, history_size=10)
    best, losses = None, []
    # SOLUTION

    def closure():
        nonlocal best
        lbfgs.zero_grad()
        loss = total(x).sum()
        loss.backward()
        if loss.item() < min(losses, default=math.inf):
            best = x.detach().clone()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        lbfgs.step(closure)
        x.detach().clamp_(0, 1)  # the same pixels, without gradient
    # STUDENT: ...  # your code here
    # END SOLUTION
    return best, losses


# %%
check.function("the loop with L-BFGS", my_transfer)

# %% [markdown]
# Now paint with your own program: your features, losses, total and loop, from the photo. (Where a function of yours has
# not passed its check yet, ours is used.)

# %%
NAMES = ["read the layers", "content_loss", "gram_matrix", "style_loss", "the total loss", "the loop with L-BFGS"]
unsolved = [name for name in NAMES if not passed(name)]
the_total = my_total if passed("the total loss") else ready.total_loss
the_loop = my_transfer if passed("the loop with L-BFGS") else ready.lbfgs_loop
read = partial(read_network, network)
home = exact.device
with torch.no_grad():
    content = read(photo.to(home), ["relu4_2"])  # {layer: (1, C, h, w)}
    grams = {name: gram(maps) for name, maps in read(painting.to(home), STYLE).items()}  # {layer: (1, C, C)}
my_picture, my_losses = the_loop(
    lambda x: the_total(read, x, content, grams, 100, 10_000, 1_000), photo.to(home), profile.steps // 2
)
print("all code is yours" if not unsolved else "not solved yet, so ours is used: " + ", ".join(unsolved))
wipe(photo, my_picture.cpu(), ("photo", "painted by this program"), side=384)

# %% tags=["test"]
claims.the_own_program_paints(my_losses, losses(photo), losses(my_picture.cpu()))

# %% [markdown]
# ## 5 · To the last digit
#
# The library minimizes the same loss with the same optimizer. Its `synthesize` adds three things to the loop. It drops
# gradients that push a pixel out of [0, 1]. It tells L-BFGS how far the clamp let the pixels move: if L-BFGS moves a
# pixel from 0.9 to 1.2 and the clamp returns it to 1, the step was 0.1 and not 0.3. And it limits the length of steps
# (`guard`; off here). We start both from gray, far from 0 and 1, with the weights 100, 10,000 and 1,000, once in
# float32 and once in float64.
#
# **Predict.** How well do your losses and the library's agree?
#
# - `"a"` in all digits, in every evaluation
# - `"b"` in about six digits at first, in ever fewer later
# - `"c"` in two or three digits from the first evaluation on

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_digits = ...  # "a", "b" or "c"
guess_digits = "b"
# END SOLUTION

# %%
small = max(64, profile.size // 2)
rounds = 40 if profile.size > 100 else 20
exact64 = VGGFeatures(pooling="avg", precision="float32", device=pick_device()).double()


# %%
def both_runs(extractor, dtype):
    """Return the losses of a loop and of the library, and the first evaluation with a pixel at 0 or 1."""
    little_photo, little_painting = (resize(p, small).to(extractor.device, dtype) for p in (photo, painting))
    library = Objective(ours, extractor, little_photo, little_painting)
    reader = partial(read_network, plain_network(extractor))
    targets = library.targets.content, library.targets.style
    clamped = []  # for each evaluation, whether a pixel is at 0 or 1

    def total(x):
        clamped.append(bool(((x == 0) | (x == 1)).any()))
        return the_total(reader, x, *targets, 100, 10_000, 1_000)

    start = torch.full_like(little_photo, 0.5)
    mine, theirs = the_loop(total, start, rounds)[1], synthesize(library, start, steps=rounds, guard=False)
    return mine, theirs, (clamped + [True]).index(True) + 1


# %%
mine, theirs, border = both_runs(exact, torch.float32)
mine64, theirs64, border64 = both_runs(exact64, torch.float64)
whose = "yours" if not unsolved else "a plain program"
rows = [[i, f"{mine[i - 1]:.4f}", f"{theirs.records[i - 1].total:.4f}"] for i in (1, 2, 3, 5, 10, rounds)]
if unsolved:
    print("ours is used in place of: " + ", ".join(unsolved))
Table(["evaluation", whose, "the library's"], rows)


# %%
def apart(losses, records):
    """Return the relative difference of two runs by evaluation; 1e-17 stands for no difference at all."""
    return {i + 1: max(abs(a / r.total - 1), 1e-17) for i, (a, r) in enumerate(zip(losses, records))}


differences = {"float32": apart(mine, theirs.records), "float64": apart(mine64, theirs64.records)}
title = "two programs agree to the last digit at first, then part"
print(f"the first pixel is at 0 or 1 in evaluation {border} (float32) and {border64} (float64)")
anatomy.lines(differences, title, "relative difference of the losses", log=True, xlabel="evaluation")

# %%
check.choice("digits that agree", guess_digits)

# %% tags=["test"]
assert not unsolved
claims.the_first_losses_agree_to_the_last_digits(differences, scale)
claims.the_jump_follows_the_first_clamped_pixel(differences["float64"], border64)
claims.both_programs_end_close(mine, [record.total for record in theirs.records], scale)

# %% [markdown]
# At the left end of the curves, the losses agree in six digits or more in float32, and in about ten in float64. Float32
# holds about seven digits, and two programs that add in another order round differently. (In float64 the library still
# computes its content loss in float32, which costs the digits after the tenth.)
#
# In **float32** the difference grows from evaluation to evaluation: each step starts from the error of the step before.
#
# In **float64** the difference stays small until the first pixel is at 0 or 1 (printed above the figure), and then
# grows by several powers of ten at once. Rounding is not the reason. Your loop clamps such pixels and L-BFGS does not
# learn of it; the library tells L-BFGS about it. From there on the two programs follow different paths. In the profile
# `cpu` they end with similar losses.

# %% [markdown]
# You have written Gatys' method. From here on we use the library.
#
# ### Two forces
#
# Why does the loss fall ever more slowly? Each pixel has two forces, $-\alpha\,\partial L_\text{content}/\partial x$
# and
# $-\beta\,\partial L_\text{style}/\partial x$ (here with the small gradient of the total variation). We stop the run of
# section 1 at some moments and measure both.
#
# **Predict.** What are the two forces like in the finished picture?
#
# - `"a"` both are zero
# - `"b"` both are there, in opposite directions
# - `"c"` both are there, at different pixels: the content at the face, the style at the background

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_forces = ...  # "a", "b" or "c"
guess_forces = "b"
# END SOLUTION

# %%
both = Objective(ours.replace(content_weight=2_000), exact, photo.to(home), painting.to(home))


def forces(picture):
    """Return the forces of content and style on each pixel that is free to move, (1, 3, H, W) each."""
    x = picture.to(home).requires_grad_()
    parts = both.weighted_terms(both.terms(x)).sum(1)  # content, style, total variation
    content, style, tv = (-torch.autograd.grad(part, x, retain_graph=True)[0] for part in parts)
    style = style + tv
    # a pixel at 0 (or 1) that is pushed further down (or up) cannot move
    free = (x.detach() + (content + style).sign()).clamp(0, 1) != x.detach()
    return (content * free).cpu(), (style * free).cpu()


# %%
found = {step: forces(picture) for step, picture in moments.items()}
lengths = {
    "content": {step: c.norm().item() for step, (c, _) in found.items()},
    "style": {step: s.norm().item() for step, (_, s) in found.items()},
    "both together": {step: (c + s).norm().item() for step, (c, s) in found.items()},
}
title = "at the end two forces of about the same length, and a small sum"
anatomy.lines(lengths, title, "root of the sum of squares", log=True, xlabel="evaluation")

# %%
cosines = {step: torch.cosine_similarity(c.flatten(), s.flatten(), 0).item() for step, (c, s) in found.items()}
title = "the two forces turn against each other"
anatomy.lines({"cosine": cosines}, title, "cosine of the two forces", xlabel="evaluation")

# %%
check.choice("forces at the end", guess_forces)

# %% tags=["test"]
claims.the_forces_turn_against_each_other(cosines, lengths, scale)

# %% [markdown]
# A cosine of -1 means exactly opposite. At a minimum of $L$ the gradient is zero, and it is the sum of the two. So both
# forces remain, and the picture rests where they cancel. A larger $\alpha$ moves this place.
#
# ## 6 · Content weight against style weight
#
# **Predict.** We multiply $\alpha$, $\beta$ and $\gamma$ by ten. What happens to the picture?
#
# - `"a"` the losses fall faster, so that it is further painted
# - `"b"` it becomes another compromise
# - `"c"` nothing that matters

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_ten = ...  # "a", "b" or "c"
guess_ten = "c"
# END SOLUTION

# %%
cat, wood = gallery.content("chelsea", profile.size), gallery.style("autumn", profile.size)
little_cat, little_wood = resize(cat, small), resize(wood, small)
trials = {"100, 10,000, 1,000": (100, 1e4, 1e3), "all times ten": (1e3, 1e5, 1e4), "α times ten": (1e3, 1e4, 1e3)}
tried = {}
for name, (alpha, beta, gamma) in trials.items():
    weights = {"content_weight": alpha, "style_weight": beta, "tv_weight": gamma}
    tried[name] = transfer(little_cat, little_wood, features=exact, steps=rounds, **weights).image
first, *_ = tried.values()
small_losses = meter(little_cat, little_wood)
rows = [(name, *small_losses(p), (p - first).abs().mean().item()) for name, p in tried.items()]
head = ["α, β, γ", "content loss", "style loss", "distance from the first"]
Table(head, [[name, *(f"{value:.4f}" for value in values)] for name, *values in rows])

# %%
check.choice("all weights times ten", guess_ten)

# %% tags=["test"]
claims.only_the_ratio_of_the_weights_counts(rows)

# %% [markdown]
# Only the ratio counts. (The first two rows differ a little: the minimum is the same, but rounding leads L-BFGS to it
# on another path.) So a single weight says nothing without the other. Even a ratio cannot be taken from another
# program: it depends on sums or means, on pixels up to 1 or 255, and on the network. Six programs, the same method:

# %%
names = ["course", "gatys2016", "gatys_pytorch", "pytorch_tutorial", "gordicaleksa", "neural_style_pt"]
rows = []
for preset in map(get_preset, names):
    a = preset.content_weight * sum(preset.content_layers.values())
    b = preset.style_weight * sum(preset.style_layers.values())
    rows.append([preset.name, f"{a:,.0f}", f"{b:,.0f}", f"{b / a:,.2f}"])
Table(["preset", "content weight", "style weight", "style / content"], rows)

# %% [markdown]
# In this course both losses are relative, and a ratio means about the same for any two pictures. We paint five ratios,
# each from the photo and from noise.
#
# **Predict.** From the photo, with $\alpha : \beta$ at 1 : 100 and at 1 : 1000 (ten times less content weight): by what
# factor is the style loss smaller at 1 : 1000?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_fall = ...  # a number, such as 1.5 or 10
guess_fall = 5.0
# END SOLUTION

# %%
RATIOS = {"10 : 1": 10, "1 : 1": 1, "1 : 10": 0.1, "1 : 100": 0.01, "1 : 1000": 0.001}
steps = profile.steps * 3 // 4
sweep = {
    (start, label): transfer(cat, wood, features=features, init=start, steps=steps, content_weight=1e4 * ratio).image
    for start in ("content", "noise")
    for label, ratio in RATIOS.items()
}
gap = torch.ones(1, 3, cat.shape[2], 4)
pairs = {r: torch.cat([sweep["content", r], gap, sweep["noise", r]], dim=3) for r in RATIOS}
slide(pairs, "content : style, left from the photo, right from noise")

# %%
cat_losses = meter(cat, wood)
prices = {key: cat_losses(picture) for key, picture in sweep.items()}
figure, (ax,) = anatomy.panels(1)
for color, mark, (start, name) in zip(figures.COLOURS, "os", {"content": "the photo", "noise": "noise"}.items()):
    ax.plot(*zip(*(prices[start, r] for r in RATIOS)), color=color, marker=mark, label=f"from {name}")
for r in RATIOS:
    ax.annotate(r, prices["noise", r], (6, 4), textcoords="offset points", fontsize=9)
ax.set(xscale="log", yscale="log", xlabel="content loss, relative", ylabel="style loss, relative")
ax.set_title("less of one loss costs more of the other", loc="left")
ax.legend(loc="lower left")
figure

# %%
fall = prices["content", "1 : 100"][1] / prices["content", "1 : 1000"][1]
check.prediction("fall of the style loss", guess_fall, fall, "times")

# %% tags=["test"]
claims.the_ratio_trades_one_loss_for_the_other(prices, list(RATIOS))
claims.the_start_at_the_photo_is_below(prices, scale)
claims.ten_times_the_weight_is_less_than_a_tenth_of_the_loss(fall, scale)

# %% [markdown]
# Every point is a picture; further left is nearer to the photo, further down nearer to the painting. (The points of
# both lines have the ratios in the same order.) Each step of the ratio lowers the style loss and raises the content
# loss. At the lower end, a ratio of ten lowers the style loss by much less than a factor of ten. Reports 000 to 004 all
# state $\alpha$ and $\beta$ in an equation; none prints their values for its pictures. Report 001 gives the content a
# smaller weight, because the result "can still be strongly correlated to the original image". From the photo we agree.
# From noise, the cat dissolves between 1 : 10 and 1 : 1000.
#
# **Exercise.** From noise, the same ratio leaves less of the photo. Which content weight gives the *same* content loss
# as from the photo? Write `my_weight`: `measure(weight)` returns the content loss of a run with this weight, and it
# falls where the weight rises. Return a weight between `low` and `high` whose content loss is within 3 % of `goal`,
# with at most `tries` measurements. The range may span six powers of ten.


# %% tags=["exercise"]
def my_weight(measure, goal, low, high, tries):
    # SOLUTION
    for _ in range(tries):
        weight = math.sqrt(low * high)  # the middle, in powers of ten
        if measure(weight) > goal:
            low = weight
        else:
            high = weight
    return weight
    # END SOLUTION


# %%
check.function("a weight for a goal", my_weight)

# %%
search = my_weight if passed("a weight for a goal") else ready.find_weight


def run_from_noise(weight):
    """Return the content loss of a small run from noise."""
    picture = transfer(little_cat, little_wood, features=features, init="noise", steps=rounds, content_weight=weight)
    reached[weight] = small_losses(picture.image)[0]
    return reached[weight]


reached = {}  # content loss by weight
from_photo = transfer(little_cat, little_wood, features=features, steps=rounds).image
goal = small_losses(from_photo)[0]
weight = search(run_from_noise, goal, 10, 1e5, 7 if profile.size > 100 else 4)
print(f"from the photo: content weight 100, content loss {goal:.3f}")
print(f"from noise: content weight {weight:,.0f}, content loss {run_from_noise(weight):.3f}")

# %% tags=["test"]
claims.noise_needs_a_larger_content_weight(weight)

# %% [markdown]
# ## 7 · Where to start
#
# The reports disagree. Report 000 starts from noise. Report 004 starts from "a clone of the source content image" in
# its text and from white noise in its experiments. Report 002 takes the photo with "some random noises added to break
# the original style and accelerate the process". Report 003 describes "a blank grey canvas" in one place and "gradient
# descent from the content image" in another.
#
# **Predict.** Four starts, the same weights, the same number of evaluations: which one ends with the smallest loss?
#
# - `"a"` those that begin with the photo, with or without noise
# - `"b"` noise, because it is near neither target
# - `"c"` all end within 5 % of each other

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_start = ...  # "a", "b" or "c"
guess_start = "a"
# END SOLUTION

# %%
cup, sea = gallery.content("coffee", profile.size), gallery.style("waves", profile.size)
STARTS = {"content": "the photo", "content+noise": "photo and noise", "noise": "noise", "grey": "gray"}
started = {s: transfer(cup, sea, features=features, init=s, steps=profile.steps) for s in STARTS}
shown = ("content", "noise", "grey")  # from photo and noise, the picture looks like the one from the photo
show({f"from {STARTS[s]}": started[s].image for s in shown}, columns=3)

# %%
curve({f"from {name}": started[s].records for s, name in STARTS.items()}, "four starts, one loss")

# %%
tenth = profile.steps // 10
cup_losses = meter(cup, sea)
table = {s: [r.records[0].total, r.records[tenth - 1].total, r.best.total] for s, r in started.items()}
rows = [[STARTS[s], *(f"{v:,.0f}" for v in values), *(f"{v:.4f}" for v in cup_losses(started[s].image))]
        for s, values in table.items()]  # fmt: skip
Table(["start", "loss at first", f"after {tenth}", f"after {profile.steps}", "content loss", "style loss"], rows)

# %%
check.choice("smallest loss of four starts", guess_start)

# %% tags=["test"]
claims.starts_at_the_photo_end_lowest(table)
claims.noise_on_the_photo_helps_at_first_only(table, scale)

# %% [markdown]
# Starts at the photo end lowest. The four final losses are near each other: the largest is about a quarter above the
# smallest. The pictures are not. At 1 : 100 the content term is small, so losing most of the cup costs little. Whoever
# starts from noise or gray needs a larger content weight (section 6).
#
# - **Photo and noise** (002) does "accelerate the process": after a tenth of the evaluations it is ahead of the plain
#   photo. At the end there is no difference between them.
# - **Gray** (003) is slow at first. Neighboring places have the same activations, so the style gradient is nearly the
#   same at all of them (lesson 04).
# - **Noise** (000) has one advantage: another seed gives another picture.
#
# ## 8 · Which optimizer
#
# The gradient gives a direction and not a length. Three answers from the reports:
#
# - **L-BFGS** (000, 003) estimates the curvature from its last ten steps.
# - **Adam** (compared in 003) divides the mean of recent gradients by their recent size, pixel by pixel.
# - **Sign descent** (002) moves every pixel by the same $\epsilon$: $x \leftarrow x - \epsilon\,
#   \text{sgn}(\partial L/\partial x)$.
#
# **Exercise.** Write the update of report 002 as a function that returns a new picture with values in [0, 1]. `x` and
# `gradient` are (N, 3, H, W).


# %% tags=["exercise"]
def my_signed_step(x, gradient, epsilon):
    # SOLUTION
    return (x - epsilon * gradient.sign()).clamp(0, 1)
    # END SOLUTION


# %%
check.function("signed step", my_signed_step)

# %% [markdown]
# Adam and sign descent need a rate. We try three each, over a factor of sixteen, with the same number of evaluations.
# How the rates were chosen belongs to the result. In a first round we tried 0.005, 0.02 and 0.08 for Adam, and 0.001,
# 0.004 and 0.016 for sign descent. The largest rate of Adam was the best, so a still larger one could be better. These
# rates are the second round.
#
# **Predict.** L-BFGS reaches some loss after 25 evaluations. How many does Adam need for the same loss, with the best
# of the three rates?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_adam = ...  # a number
guess_adam = 60
# END SOLUTION

# %%
rivals = {"L-BFGS": {"optimizer": "lbfgs"}}
rivals |= {f"Adam, {rate}": {"optimizer": "adam", "learning_rate": rate} for rate in (0.015, 0.06, 0.24)}
rivals |= {f"sign, {rate}": {"optimizer": "sign", "learning_rate": rate} for rate in (0.002, 0.008, 0.032)}
raced = {name: transfer(cat, wood, features=features, steps=profile.steps, **how) for name, how in rivals.items()}
ends = {name: run.best.total for name, run in raced.items()}
title = f"loss after {profile.steps} evaluations: the rate matters"
figures.bars(ends, title=title, highlight="L-BFGS")

# %%
best_of = [min((n for n in raced if n.startswith(kind)), key=ends.get) for kind in ("L-BFGS", "Adam", "sign")]
curve({name: raced[name].records for name in best_of}, "the best rate of each optimizer")

# %%
target = min(record.total for record in raced["L-BFGS"].records[: min(25, profile.steps)])


def first_below(run, loss):
    """Return the first evaluation whose loss is not above a given one, or None."""
    return next((record.step for record in run.records if record.total <= loss), None)


needed = {name: first_below(raced[name], target) for name in best_of}
adam_needs = needed[best_of[1]] or profile.steps  # all of them, if the loss is not reached
check.prediction("evaluations of Adam", guess_adam, adam_needs, "evaluations")

# %%
times = {}
for name in best_of:
    seconds = [record.seconds for record in raced[name].records]
    times[name] = 1000 * median(b - a for a, b in zip(seconds, seconds[1:]))
rows = [[n, f"{ends[n]:,.1f}", needed[n] or f"more than {profile.steps}", f"{times[n]:.0f} ms"] for n in best_of]
Table(["optimizer", f"loss after {profile.steps}", f"evaluations to a loss of {target:,.0f}", "one evaluation"], rows)

# %% tags=["test"]
claims.lbfgs_ends_lowest(ends)
claims.the_rate_decides_as_much_as_the_optimizer(ends)
claims.the_middle_rate_is_best(ends, scale)

# %% [markdown]
# Report 003 calls L-BFGS "much more efficient than Adam optimizer". At equal evaluations it did end lowest here,
# without any tuning; the last column of the table has the time of an evaluation. For Adam and for sign descent, the
# middle rate is the best of the three, so much better rates are unlikely. The three Adam runs differ from each other by
# more than the best of them differs from L-BFGS: ask for the learning rate before you believe such a comparison.
#
# Sign descent keeps its step length to the end. With a small $\epsilon$ it is slow, with a large one it jumps across
# the minimum again and again. It also moves a pixel whose gradient is a millionth as far as one whose gradient is 1. So
# "an iterative algorithm similar to gradient descent" (002) is true of the direction of each pixel and not of the
# length of its step.
#
# ### What is an iteration?
#
# **Predict.** `torch.optim.LBFGS` without further arguments: how often does one call of `step` call the closure?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_calls = ...  # a number
guess_calls = 10
# END SOLUTION

# %%
calls = []
point = torch.tensor([-1.2, 1.0], requires_grad=True)
walker = torch.optim.LBFGS([point])


def valley():
    """Compute Rosenbrock's function and its gradient, and count."""
    calls.append(1)
    value = (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2
    (point.grad,) = torch.autograd.grad(value, point)
    return value


walker.step(valley)
check.prediction("closure calls in one step", guess_calls, len(calls), "calls")

# %% tags=["test"]
claims.one_step_makes_twenty_evaluations(len(calls))

# %% [markdown]
# So "300 iterations" of one program can be the work of 6000 of another. Report 000 needed "6.5 hours for 30
# iterations". If it counted calls of `step`, these were up to 600 evaluations; the report does not say. This course
# counts evaluations.
#
# ## 9 · The tutorial's network
#
# Report 000 cites Gatys and prints another network: the one of PyTorch's tutorial, with layers `conv_1` to `conv_5`
# counted in sequence. Style: all five, content: `conv_4`. Beside Gatys' layers, with their receptive fields:

# %%
tutorial, paper = get_preset("pytorch_tutorial"), get_preset("gatys2016")
FIELD = {"conv1_1": 3, "conv1_2": 5, "conv2_1": 10, "conv2_2": 14, "conv3_1": 24, "conv4_1": 68, "conv4_2": 84,
         "conv5_1": 156}  # fmt: skip
layers = [*zip(tutorial.style_layers, paper.style_layers), (*tutorial.content_layers, *paper.content_layers)]
uses = [*(f"style, conv_{i}" for i in range(1, 6)), "content, conv_4"]
rows = [[use, a, f"{FIELD[a]} px", b, f"{FIELD[b.replace('relu', 'conv')]} px"] for use, (a, b) in zip(uses, layers)]
Table(["report 000", "in VGG's names", "receptive field", "Gatys'", "receptive field"], rows)

# %% [markdown]
# We paint with this network as the report does: from Gaussian noise, with L-BFGS, up to 600 evaluations. Then we
# measure the style loss of the result in each of Gatys' five layers.
#
# **Predict.** Where is the tutorial's picture farthest from the painting?
#
# - `"a"` in relu1_1, because it has the finest detail
# - `"b"` about equally far in all five layers
# - `"c"` in relu5_1, whose receptive field is wider than all of the tutorial's

# %%
night = gallery.style("nocturne", profile.size)
slide({"the painting": night, "the photo": cat}, "what we start from", side=256)

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_tutorial = ...  # "a", "b" or "c"
guess_tutorial = "c"
# END SOLUTION

# %%
gauss = torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
marks, seen = (profile.steps, 6 * profile.steps), {}


def note(record):
    """Keep the picture at the two marks."""
    if record.step in marks:
        seen[record.step] = record.image


sequence = transfer(cat, night, "pytorch_tutorial", init=gauss, steps=marks[1], callback=note)
heavier = transfer(cat, night, "pytorch_tutorial", init=gauss, steps=marks[1], content_weight=30)
deep = transfer(cat, night, features=features, init=gauss, steps=marks[0], content_weight=1_000)
slide({
    **{f"tutorial's weights, {step} evaluations": seen[step] for step in marks},
    f"30 times the content weight, {marks[1]}": heavier.image,
    f"Gatys' layers, {marks[0]} evaluations": deep.image,
}, side=384)  # fmt: skip

# %% [markdown]
# The total losses, ours beside the report's:

# %%
at = [sequence.records[step - 1].total for step in marks]
rows = [
    ["report 000, after 100 and 600", "16.3802", "9.1213", f"{9.1213 / 16.3802:.2f}"],
    [f"here, after {marks[0]} and {marks[1]}", *(f"{loss:.4f}" for loss in at), f"{at[1] / at[0]:.2f}"],
]
change = (seen[marks[1]] - seen[marks[0]]).abs().mean().item()
print(f"between the two, the mean pixel changes by {change:.3f}, on a scale from 0 to 1")
Table(["total loss of the tutorial's network", "first", "later", "ratio"], rows)

# %%
night_meter = Objective(ours, features, cat.to(home), night.to(home))


def by_layer(picture):
    """Return the relative style loss of each of Gatys' layers."""
    with torch.no_grad():
        return {name: loss.item() for name, loss in night_meter.terms(picture.to(home)).style.items()}


style_by_layer = {"tutorial's layers": by_layer(sequence.image), "Gatys' layers": by_layer(deep.image)}
title = "the tutorial's picture matches the first three layers, and not relu5_1"
anatomy.lines(style_by_layer, title, "style loss, relative", log=True, xlabel="layer")

# %%
check.choice("where the tutorial's picture is farthest", guess_tutorial)

# %% tags=["test"]
claims.more_evaluations_lower_the_loss_of_the_tutorial(at)
claims.the_tutorial_matches_early_layers_only(style_by_layer)

# %% [markdown]
# The loss falls here too, and by more. Between 100 and 600 evaluations the eyes of the cat begin to show. Report 000
# writes that "increasing them did not result in better visualisation", and also that "a lower total loss means a better
# fusion of the two images". The two sentences contradict each other. A loss can only improve what it measures: no style
# layer here covers more than 24 pixels, and the last figure shows that relu5_1 stays far from the painting. (The two
# runs of this figure have different weights and numbers of evaluations, so compare the shapes of the lines and not
# their heights.)
#
# Why do our numbers differ from the report's? It prints no weights and no picture sizes, and does not say what an
# "epoch" is. We took the tutorial's weights, another photo, another painting, and the compact network, whose
# activations are not those of the real VGG-19. That the first number has about the same size is chance. With the
# tutorial's weights and a start from noise, our cat is nearly lost; 30 times the content weight brings it back.
#
# A last remark on our deep layers: the compact network was distilled from the real VGG-19 up to conv3_4 only. Its
# blocks 4 and 5 were trained on small pictures without that teacher, so "Gatys' layers" means here the layers of that
# name.
#
# ## 10 · Which pictures fit together?
#
# Report 000: "Both of them should have the same size and dimension so that we can put them into style loss layers and
# content loss layers." Report 001 "had to ensure that my images were of the same size".
#
# **Predict.** Which pairs of a photo and a painting work without resizing?
#
# - `"a"` only pairs of one size
# - `"b"` all pairs
# - `"c"` pairs with the same ratio of width to height

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_shape = ...  # "a", "b" or "c"
guess_shape = "b"
# END SOLUTION

# %%
shapes = {}
for shape in ((96, 96), (40, 200), (333, 57)):
    with torch.no_grad():
        maps = features(resize(painting, shape).to(home), ["relu3_1"])["relu3_1"]
    shapes[shape] = tuple(gram_matrix(maps).shape[1:])
    print(f"painting {shape[1]} x {shape[0]}: activations {tuple(maps.shape[1:])}, Gram matrix {shapes[shape]}")

# %%
sizes = [((57, 83), (58, 83)), ((120, 40), (40, 120)), ((64, 64), (300, 200)), ((33, 129), (17, 16))]
odd = []
for content_shape, style_shape in sizes:
    run = transfer(resize(cat, content_shape), resize(night, style_shape), features=features, steps=5)
    odd.append((content_shape, style_shape, tuple(run.image.shape[2:]), run.best.total / run.records[0].total))
rows = [[*(f"{w} x {h}" for h, w in entry[:3]), f"{entry[3]:.2f}"] for entry in odd]
Table(["photo", "painting", "result", "loss after 5 evaluations / first loss"], rows)

# %%
check.choice("a painting of another shape", guess_shape)

# %% tags=["test"]
claims.every_gram_matrix_has_the_same_size(shapes)
claims.any_sizes_work(odd)

# %% [markdown]
# The content loss compares the picture with the photo, and these have the same size anyway. The style loss compares
# Gram matrices, which are C x C. What does it cost to force both pictures into squares and to stretch the result back?

# %%
wide = gallery.content("chelsea", profile.size * 3 // 2)
wide = wide[:, :, round(0.16 * wide.shape[2]) : round(0.72 * wide.shape[2])]  # (1, 3, H, W) with W = 2.7 H
area = round((wide.shape[2] * wide.shape[3]) ** 0.5)
squares = [resize(picture, (area, area)) for picture in (wide, sea)]
square = transfer(*squares, features=features, steps=steps).image
free = transfer(wide, sea, features=features, steps=steps).image
forced = resize(square, tuple(wide.shape[2:]))
wipe(forced, free, ("forced into squares", "sizes as they are"))

# %% [markdown]
# From the squares, the strokes are stretched sideways, because the result was stretched. What remains to choose is the
# size of the painting, because strokes keep the size that they have in it. By default the library brings its long side
# to that of the photo.

# %%
brush = {f"{round(profile.size * share)} pixels": transfer(
    cup, sea, features=features, style_size=round(profile.size * share), steps=steps
).image for share in (0.5, 1, 2)}  # fmt: skip
slide(brush, "long side of the painting", side=384)

# %% [markdown]
# The larger the painting, the broader the strokes on the cup.
#
# ## 11 · Your own photo, your own style
#
# Choose a photo and a style picture; both stay on the machine that runs the notebook. Then run the cell with the widget
# and press **Start**. The widget shows the picture while it is painted and its losses; **Stop** keeps what is there.

# %%
my_photo = upload_photo("astronaut")
my_photo

# %%
my_style = upload_photo(gallery.style("waves"), what="style picture")
my_style

# %%
live = watch_transfer(
    my_photo.image(profile.size), my_style.image(profile.size), content_weight=200, steps=3 * profile.steps
)
live

# %% [markdown]
# Without a kernel, here is the run of section 1 at two moments. Report 000 finds it "difficult to estimate a good
# epoch accurately until the results are available"; so look while it runs, and stop.

# %%
slide({f"{step} evaluations": moments[step] for step in list(moments)[-2:]}, "from noise", side=320)

# %% [markdown]
# ## 12 · What the reports say, and what we found
#
# | report | what it says | what we found | section |
# |---|---|---|---|
# | all | $L = \alpha L_\text{content} + \beta L_\text{style}$ | only the ratio counts, with its conventions | 6 |
# | 001 | more weight for the style keeps the content recognizable | from the photo yes, from noise no | 6, 7 |
# | 000 | `conv_1` to `conv_5` and `conv_4`, called Gatys' method | the tutorial's layers: at most 24 pixels wide | 9 |
# | 000 | loss 16.3802 at 100, 9.1213 at 600 | not comparable: no weights, sizes or unit given | 9 |
# | 000 | "a lower total loss means a better fusion" | contradicted by its own remark on more epochs, and by ours | 9 |
# | 000 | 6.5 hours for 30 iterations | if it counted calls of `step`, 30 are up to 600 evaluations | 8 |
# | 000, 001 | both pictures need one size | no: Gram matrices are C x C | 10 |
# | 002 | photo and noise "accelerate the process" | in the first evaluations; not at the end | 7 |
# | 002 | $x - \epsilon\,\text{sgn}(\cdot)$ is "similar to gradient descent" | not in its step length; ends last | 8 |
# | 003 | L-BFGS "much more efficient than Adam" | lowest loss; how much depends on Adam's rate | 8 |
# | 003 | starts from gray, and from the content image | two different starts; gray is slow at first | 7 |
# | 004 | a clone of the content, and white noise | two different starts with different pictures | 7 |
#
# ## What you can do now
#
# - Write Gatys' method from an empty page, and check it against another program digit by digit.
# - Choose the ratio of the weights by a goal, and the start and the optimizer for a reason.
# - Say what must be known to repeat a reported picture or number.
#
# **Three questions.**
#
# 1. A program has $\alpha = 1$ and $\beta = 10^6$. A friend concludes that it hardly considers the content. What do you
#   ask?
# 2. Two programs agree in seven digits at evaluation 1 and in two at evaluation 30. Is one of them wrong?
# 3. Why can a picture have a smaller total loss and look worse?

# %% [markdown] tags=["solution-only"]
# **Model answers.**
#
# 1. How each loss is normalized: sum or mean, the divisor of the Gram matrix, the range of the pixels, the network, and
#    the start. Without them the numbers have no scale.
# 2. Not necessarily. Rounding differs from the first evaluation on, and the steps amplify it. To find out, repeat in
#    float64: rounding errors shrink by many powers of ten, while a real difference, such as the treatment of clamped
#    pixels, stays.
# 3. The loss measures only what its layers represent. If no style layer covers a swirl, no number of evaluations paints
#    one.

# %% [markdown]
# **Project: a comparison that can be repeated.** Take a photo and a style of your own. Compare two settings of one
# choice (start, optimizer, ratio or layers) so that somebody else can repeat it and judge it.
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | settings | some are missing | all are listed | listed, and a second person repeats the result |
# | fairness | one setting was tuned | both were tuned | tuning is shown, with equal evaluations |
# | measurement | pictures only | both losses in a table | losses, several seeds or photos, and their spread |
# | conclusion | not supported | supported | supported, with the condition under which it holds |
#
# ## Further reading
#
# - L. Gatys, A. Ecker, M. Bethge: [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576), 2015, and
#   [Image Style Transfer Using Convolutional Neural Networks](https://openaccess.thecvf.com/content_cvpr_2016/html/Gatys_Image_Style_Transfer_CVPR_2016_paper.html),
#   CVPR 2016: the method, with the weights, the layers and the start varied.
# - A. Jacq: [Neural Transfer Using PyTorch](https://docs.pytorch.org/tutorials/advanced/neural_style_tutorial.html): the
#   tutorial of section 9.
# - D. Liu, J. Nocedal: On the Limited Memory BFGS Method for Large Scale Optimization, Mathematical Programming, 1989.
# - D. Kingma, J. Ba: [Adam: A Method for Stochastic Optimization](https://arxiv.org/abs/1412.6980), ICLR 2015.
# - Y. Jing and others: [Neural Style Transfer: A Review](https://arxiv.org/abs/1705.04058), 2018.
#
# **Previous:** [04_texture_synthesis.ipynb](04_texture_synthesis.ipynb) · **Next:**
# [06_gatys_experiments.ipynb](06_gatys_experiments.ipynb), which asks which of the many other choices matter.
